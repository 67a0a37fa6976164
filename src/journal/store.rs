//! Opening the journal's file: lock, schema, whose it is, and clear words when it can't be used.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::text::{Text, text};

/// One script per schema version; `user_version` says how many a file has had.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema-2.sql")];

/// Finished orders and refunds are kept this long.
const KEEP_MS: i64 = 90 * 24 * 3600 * 1000;

pub(super) fn open(path: Option<&Path>, merchant: &str) -> Result<Connection, Text> {
    let name = path.map_or_else(|| ":memory:".to_owned(), |path| path.display().to_string());
    let mut connection = match path {
        None => Connection::open_in_memory().map_err(|error| unusable(&name, &error))?,
        Some(path) => {
            create_private(path).map_err(|error| {
                text!(
                    "common_conf.journal_path：无法创建 {name}：{error}",
                    "common_conf.journal_path: can't create {name}: {error}"
                )
            })?;
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags).map_err(|error| unusable(&name, &error))?
        }
    };
    prepare(&mut connection, &name, merchant)?;
    Ok(connection)
}

/// Creates the file and its folder, readable by this user only.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn prepare(connection: &mut Connection, name: &str, merchant: &str) -> Result<(), Text> {
    let fail = |error: rusqlite::Error| unusable(name, &error);
    connection
        .execute_batch(
            "PRAGMA busy_timeout = 0;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;
             PRAGMA secure_delete = ON;
             BEGIN IMMEDIATE; COMMIT;",
        )
        .map_err(fail)?;
    migrate(connection, &MIGRATIONS, name, merchant)?;
    let owner: String = connection
        .query_row("SELECT merchant FROM journal", [], |row| row.get(0))
        .map_err(fail)?;
    if owner != merchant {
        return Err(text!(
            "common_conf.journal_path：{name} 属于商户 {owner}，而不是 {merchant}；请另选文件",
            "common_conf.journal_path: {name} belongs to merchant {owner}, not {merchant}; choose another file"
        ));
    }
    prune(connection).map_err(fail)
}

/// Brings an older file up to date in one transaction; leaves a newer or a foreign one alone.
fn migrate(
    connection: &mut Connection,
    scripts: &[&str],
    name: &str,
    merchant: &str,
) -> Result<(), Text> {
    let fail = |error: rusqlite::Error| unusable(name, &error);
    let known = scripts.len();
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fail)?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > known {
        return Err(text!(
            "common_conf.journal_path：{name} 的版本 {version} 比本程序支持的 {known} 新；请升级本程序",
            "common_conf.journal_path: {name} has schema {version}, newer than this library's {known}; upgrade the library"
        ));
    }
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fail)?;
    if version == 0 && tables > 0 {
        return Err(text!(
            "common_conf.journal_path：{name} 是其他程序的数据库",
            "common_conf.journal_path: {name} is another program's database"
        ));
    }
    if version == known {
        return Ok(());
    }
    let transaction = connection.transaction().map_err(fail)?;
    for script in scripts.iter().skip(version) {
        transaction.execute_batch(script).map_err(fail)?;
    }
    if version == 0 {
        transaction
            .execute("INSERT INTO journal VALUES (?1, 0, 0)", [merchant])
            .map_err(fail)?;
    }
    transaction
        .execute_batch(&format!("PRAGMA user_version = {known}"))
        .map_err(fail)?;
    transaction.commit().map_err(fail)
}

/// Forgets what has been final for 90 days. Counted back from the newest order, so that a clock
/// that is years ahead deletes nothing by itself.
fn prune(connection: &Connection) -> rusqlite::Result<()> {
    let newest: Option<i64> =
        connection.query_row("SELECT max(final_ms) FROM orders", [], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(()) };
    let before = newest.min(crate::clock::now_ms()) - KEEP_MS;
    connection.execute(
        "DELETE FROM orders WHERE final_ms IS NOT NULL AND final_ms < ?1",
        [before],
    )?;
    connection.execute(
        "DELETE FROM refunds WHERE updated_ms < ?1 AND state <> 'unknown'",
        [before],
    )?;
    Ok(())
}

fn unusable(name: &str, error: &rusqlite::Error) -> Text {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => text!(
            "common_conf.journal_path：{name} 正被另一个进程使用",
            "common_conf.journal_path: {name} is in use by another process"
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => text!(
            "common_conf.journal_path：{name} 已损坏（{error}）；请保留该文件并联系支持人员，或另选文件后人工核对其中的订单",
            "common_conf.journal_path: {name} is corrupt ({error}); keep the file and call support, or choose another file and check the orders in this one by hand"
        ),
        _ => text!(
            "common_conf.journal_path：无法使用 {name}：{error}",
            "common_conf.journal_path: can't use {name}: {error}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_been_final_for_90_days_is_forgotten() {
        const DAY: i64 = 24 * 3600 * 1000;
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &MIGRATIONS, "j", "m").unwrap();
        let add = |db: &Connection, number: &str, final_ms: Option<i64>| {
            let state = final_ms.map_or("unknown", |_| "paid");
            db.execute(
                "INSERT INTO orders (out_trade_no, trade_type, pay_platform, sub_pay_platform,
                     total_fee, content_sha256, state, message, created_ms, final_ms, late,
                     recovered, told)
                 VALUES (?1, 1, 1, 100, 1, x'00', ?2, '', 0, ?3, 0, 0, 0)",
                rusqlite::params![number, state, final_ms],
            )
            .unwrap();
        };
        let left = |db: &Connection| -> String {
            prune(db).unwrap();
            let all = "SELECT group_concat(out_trade_no, ' ' ORDER BY out_trade_no) FROM orders";
            db.query_row(all, [], |row| row.get(0)).unwrap()
        };
        let now = crate::clock::now_ms();
        add(&db, "a-open", None);
        add(&db, "b-91-days", Some(now - 91 * DAY));
        add(&db, "c-89-days", Some(now - 89 * DAY));
        // A clock that was years behind or is years ahead deletes nothing by itself.
        assert_eq!(left(&db), "a-open b-91-days c-89-days");
        add(&db, "d-ahead", Some(now + 3_650 * DAY));
        assert_eq!(left(&db), "a-open c-89-days d-ahead");
    }

    /// Invariant 10: a journal is migrated whole, or stays as it was.
    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let good = "ALTER TABLE journal ADD COLUMN more TEXT";
        let bad = "ALTER TABLE journal ADD COLUMN still_more TEXT; SELECT no_such_function();";
        let mut db = Connection::open_in_memory().unwrap();
        let seen = |db: &Connection| -> (i64, String, i64) {
            let columns = "SELECT count(*) FROM pragma_table_info('journal')";
            (
                db.query_row("PRAGMA user_version", [], |row| row.get(0))
                    .unwrap(),
                db.query_row("SELECT merchant FROM journal", [], |row| row.get(0))
                    .unwrap(),
                db.query_row(columns, [], |row| row.get(0)).unwrap(),
            )
        };
        migrate(&mut db, &MIGRATIONS, "j", "m").unwrap();
        let released = seen(&db);
        let (version, columns) = (released.0, released.2);
        let with = |more: &[&'static str]| [&MIGRATIONS[..], more].concat();
        assert!(migrate(&mut db, &with(&[good, bad]), "j", "m").is_err());
        assert_eq!(seen(&db), released);
        migrate(&mut db, &with(&[good]), "j", "m").unwrap();
        assert_eq!(seen(&db), (version + 1, "m".to_owned(), columns + 1));
    }
}
