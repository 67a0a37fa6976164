//! `docs/interfaces.md`: the functions, keys and files that it names exist, and no field of the
//! gateways' documents is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A source without its comments and tests.
fn source(path: &Path) -> String {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// All sources in a folder, but for its tests.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let texts = entries.map(|entry| match entry.unwrap().path() {
        path if path.is_dir() => sources(&path),
        path if path.ends_with("tests.rs") => String::new(),
        path => source(&path),
    });
    texts.collect()
}

/// Whether a source has a JSON key: as a text, or as a field that serde names.
fn has(source: &str, key: &str) -> bool {
    quoted(source, key) || source.contains(&format!(" {key}: "))
}

fn quoted(source: &str, key: &str) -> bool {
    source.contains(&format!("\"{key}\""))
}

/// The cells of every row under tables that begin with this head.
fn rows(head: &str) -> Vec<Vec<String>> {
    let text = read("docs/interfaces.md");
    let begin = format!("\n{head}\n|");
    let lines = text.split(&begin).skip(1).flat_map(|table| {
        let lines = table.lines().skip(1);
        lines.take_while(|line| line.starts_with('|'))
    });
    let rows = lines.map(|line| {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let (count, ends) = (cells.len(), head.matches('|').count() + 1);
        assert_eq!(count, ends, "the columns of: {line}");
        let cells = cells[1..count - 1].to_vec();
        assert!(!cells.iter().any(String::is_empty), "empty cell: {line}");
        cells
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "no table: {head}");
    rows
}

fn interfaces() -> Vec<Vec<String>> {
    rows("| interface | document | place |")
}

fn fields() -> Vec<Vec<String>> {
    rows("| structure | field | place | where |")
}

/// What a cell names in code style. Functions and files have to exist.
struct Named {
    functions: usize,
    files: String,
    keys: Vec<String>,
}

fn named(cell: &str, row: &[String]) -> Named {
    let header = read("include/cloudpay.h");
    let mut named = Named {
        functions: 0,
        files: String::new(),
        keys: Vec::new(),
    };
    for word in cell.split('`').skip(1).step_by(2) {
        if word.starts_with("cloud_pay_") {
            assert!(header.contains(&format!(" {word}(")), "{word} of {row:?}");
            named.functions += 1;
        } else if word.starts_with("src/") {
            assert!(root().join(word).is_file(), "{word} of {row:?}");
            named.files += &source(Path::new(word));
        } else {
            // `evidence.log_id` is the key `log_id`.
            let key = word.rsplit('.').next().unwrap();
            named.keys.push(key.to_owned());
        }
    }
    named
}

#[test]
fn every_interface_has_a_place() {
    let gateways = sources(Path::new("src/gateway"));
    for row in interfaces()
        .into_iter()
        .chain(rows("| enumeration | document | place |"))
    {
        let place = named(&row[2], &row);
        if row[2].starts_with("not offered: ") {
            continue;
        }
        assert!(place.functions > 0 || !place.files.is_empty(), "{row:?}");
        if let Some(path) = row[0].strip_prefix('`') {
            let path = path.trim_end_matches('`');
            assert!(gateways.contains(&format!("\"{path}\"")), "path of {row:?}");
        }
    }
}

#[test]
fn every_field_has_the_place_that_is_written() {
    let header = read("include/cloudpay.h");
    let request = source(Path::new("src/request.rs"));
    let conf = source(Path::new("src/config.rs"));
    let gateways = sources(Path::new("src/gateway"));
    let render = source(Path::new("src/render.rs"));
    let (order, refund) = render.split_once("struct RefundJson").unwrap();
    let order = order.split_once("struct OrderJson").unwrap().1;
    let refund = refund.split_once('}').unwrap().0;
    for row in fields() {
        let [_, field, place, cell] = row.as_slice() else {
            unreachable!("four columns: {row:?}")
        };
        let named = named(cell, &row);
        let all = |exists: &dyn Fn(&str) -> bool| {
            assert!(!named.keys.is_empty(), "no key: {row:?}");
            for key in &named.keys {
                assert!(exists(key), "no key {key}: {row:?}");
            }
        };
        let in_header = |key: &str| header.contains(&format!("`{key}`"));
        match place.as_str() {
            "request" => all(&|key| quoted(&request, key) && in_header(key)),
            "conf" => all(&|key| quoted(&conf, key)),
            "order-json" => all(&|key| has(order, key)),
            "refund-json" => all(&|key| has(refund, key)),
            "untouched" => all(&|key| has(&gateways, key)),
            "library" | "envelope" => assert!(has(&named.files, field), "not there: {row:?}"),
            "not-sent" | "dropped" => continue,
            _ => panic!("no such place: {row:?}"),
        }
        let ours = matches!(place.as_str(), "conf" | "library" | "envelope");
        assert!(ours || named.functions > 0, "no function: {row:?}");
    }
}

/// The list was taken from the documents, not from the table.
#[test]
fn nothing_of_the_documents_is_missing() {
    let mut table = BTreeSet::new();
    for row in interfaces() {
        let name = row[0].replace('`', "");
        assert!(table.insert(format!("interface {name}")), "twice: {row:?}");
    }
    for row in fields() {
        let name = format!("{} {}", row[0], row[1]);
        assert!(table.insert(name), "twice: {row:?}");
    }
    let list = read("tests/examples/seed-fields.txt");
    let names: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.len() > 400);
    for name in names {
        assert!(table.contains(name), "not in docs/interfaces.md: {name}");
    }
}

/// Every line of the attack table names tests that there are.
#[test]
fn every_attack_has_its_test() {
    let table = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut sources = String::new();
    for folder in ["tests/suite", "src", "src/gateway/cloudpay"] {
        for file in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|end| end == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let mut lines = 0;
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert!(
            cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()),
            "{line}"
        );
        if cells[2] == "test" {
            continue;
        }
        lines += 1;
        for name in cells[2].split(", ") {
            let name = name.trim_matches('`');
            let there =
                name.starts_with("cargo xtask ") || sources.contains(&format!("fn {name}("));
            assert!(there, "{name} in: {line}");
        }
    }
    assert!(lines > 20, "{lines}");
}
