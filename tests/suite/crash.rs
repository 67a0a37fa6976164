//! The power goes: `kill -9` at any instant, and what the next start makes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use cloudpay_sandbox::Options;
use serde_json::{Value, json};

use crate::support::{Gateway, Register, Shop, code, until};

/// A small random generator: the points of the kills differ from run to run and are printed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .subsec_nanos();
        println!("seed {seed}");
        Self(u64::from(seed) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Invariant 2. After `micro_pay` returned 0, whatever happens to the process, the next one
/// knows the order and finds its true state; and nobody was charged twice.
#[test]
fn accepted_is_never_forgotten() {
    std::thread::scope(|scope| {
        for gateway in Gateway::BOTH {
            for round in 0..10 {
                scope.spawn(move || accepted_is_never_forgotten_at(gateway, round));
            }
        }
    });
}

fn accepted_is_never_forgotten_at(gateway: Gateway, round: u64) {
    let shop = Shop::at(gateway, Options::default());
    let mut dice = Dice::new();
    let scenarios = [
        "000", "001", "003", "005", "006", "901", "902", "904", "908", "407",
    ];
    let register = shop.register();
    let mut accepted = Vec::new();
    for scenario in scenarios {
        let number = shop.number();
        register.pay(&number, &code(scenario)).expect(0);
        accepted.push((scenario, number));
    }
    // A point in time, not a wait for anything: any is right.
    std::thread::sleep(Duration::from_micros(dice.below(60_000) * round));
    register.kill();

    let register = shop.register();
    let pending = register
        .raw("pending_orders", None, 65_536)
        .expect(0)
        .json();
    let listed: Vec<&str> = pending["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["out_trade_no"].as_str().unwrap())
        .collect();
    for (scenario, number) in &accepted {
        assert!(listed.contains(&number.as_str()), "{scenario} is forgotten");
    }
    for (scenario, number) in &accepted {
        let reply = register.wait(number);
        let ledger = shop.ledger(number);
        let charges = ledger["charges"].as_i64().unwrap_or(0);
        let expected = if charges == 0 { [-1, -6] } else { [0, 0] };
        assert!(
            expected.contains(&reply.code),
            "{scenario}: {} {} {ledger}",
            reply.code,
            reply.text()
        );
        assert!(charges <= 1, "{scenario}: {ledger}");
        assert_eq!(reply.json()["recovered"], true, "{scenario}");
    }
    // Told, they leave the list.
    until("an empty list", || {
        let pending = register
            .raw("pending_orders", None, 65_536)
            .expect(0)
            .json();
        (pending["total_count"] == 0).then_some(())
    });
    register.fini();
}

/// What an earlier process ended without the register hearing of it is shown too.
#[test]
fn a_verdict_nobody_heard_is_shown_after_the_restart() {
    let shop = Shop::open();
    let register = shop.register();
    let (number, declined) = (shop.number(), shop.number());
    register.pay(&number, &code("000")).expect(0);
    register.pay(&declined, &code("004")).expect(0);
    until("the verdicts in the journal", || {
        let pending = register
            .raw("pending_orders", None, 65_536)
            .expect(0)
            .json();
        (pending["total_count"] == 0).then_some(())
    });
    register.kill();
    let register = shop.register();
    let pending = register
        .raw("pending_orders", None, 65_536)
        .expect(0)
        .json();
    let order = &pending["orders"][0];
    assert_eq!(order["out_trade_no"], number);
    assert_eq!(
        (&order["state"], &order["recovered"]),
        (&json!("paid"), &json!(true))
    );
    // What didn't fit the register's buffer, it hasn't heard.
    for number in [&number, &declined] {
        let query = json!({"out_trade_no": number}).to_string();
        register
            .raw("query_order", Some(query.as_bytes()), 100)
            .expect(-8);
    }
    let pending = register.raw("pending_orders", None, 65_536).expect(0);
    assert_eq!(pending.json()["total_count"], 2);
    assert!(!pending.text().contains("pay_mch_key"));
    register.query(&number).expect(0);
    register.query(&declined).expect(-1);
    until("the order to leave the list", || {
        let pending = register.raw("pending_orders", None, 65_536).expect(0);
        (pending.json()["total_count"] == 0).then_some(())
    });
}

/// Who cancelled an order knows its end: it isn't shown again.
#[test]
fn a_cancelled_order_is_not_shown_after_the_restart() {
    let shop = Shop::open().common("reverse_after_ms", 0);
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("002")).expect(0);
    shop.arrived(&number);
    register
        .call("cancel_order", &json!({"out_trade_no": number}))
        .expect(0);
    register.fini();
    register.init(&shop.conf);
    let pending = register
        .raw("pending_orders", None, 65_536)
        .expect(0)
        .json();
    assert_eq!(pending["total_count"], 0, "{pending}");
}

/// A restart never sends a payment again: its code is gone with the process.
#[test]
fn a_recovered_order_is_asked_about_and_never_sent_again() {
    let shop = Shop::open().common("submit_window_ms", 600_000);
    shop.control_post("down", &json!({"listener": 0}));
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.kill();
    shop.control_post("up", &json!({"listener": 0}));
    let register = shop.register();
    let reply = register.wait(&number).expect(-1);
    assert!(
        reply.message().contains("never reached"),
        "{}",
        reply.message()
    );
    assert_eq!(shop.ledger(&number)["pay_requests"], 0);
}

/// A register that ends without `fini` loses nothing either.
#[test]
fn exit_without_fini_loses_nothing() {
    let shop = Shop::open();
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("001")).expect(0);
    shop.arrived(&number);
    assert!(register.exit().success());
    let register = shop.register();
    register.wait(&number).expect(0);
    assert_eq!(shop.ledger(&number)["charges"], 1);
}

/// Stop and start within one process: unfinished orders are taken up again.
#[test]
fn fini_leaves_unfinished_orders_to_the_next_init() {
    let shop = Shop::open();
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("001")).expect(0);
    register.fini();
    register.raw("fini", None, -1).expect(0);
    let refused = register.query(&number).expect(-3);
    assert!(refused.message().contains("cloud_pay_init"));
    register.init(&shop.conf);
    register.wait(&number).expect(0);
    assert_eq!(shop.ledger(&number)["charges"], 1);
}

/// Two processes on one journal would both act on its orders: the second is refused.
#[test]
fn a_journal_has_one_owner() {
    let shop = Shop::open();
    let first = shop.register();
    let second = Register::start();
    let refused = second.call("init", &shop.conf).expect(-1);
    assert!(
        refused.message().contains("journal_path"),
        "{}",
        refused.message()
    );
    assert!(refused.message().contains("another process"));
    first.fini();
    second.init(&shop.conf);
}

/// Invariant 8. Order numbers are unique and never go back, whatever the clock does.
#[test]
fn the_registers_own_numbers_never_go_back() {
    let shop = Shop::open().trade("order_prefix", "sz0100");
    let journal = shop.folder.0.join("register.journal");
    let number = |register: &Register| {
        let number = register.raw("next_trade_no", None, 33).expect(0).text();
        assert!(
            number.starts_with("sz0100") && number.len() <= 32,
            "{number}"
        );
        number
    };
    let mut numbers = Vec::new();
    let register = shop.register();
    numbers.extend((0..50).map(|_| number(&register)));
    // Killed and started again.
    register.kill();
    let register = shop.register();
    numbers.extend((0..50).map(|_| number(&register)));
    register.fini();
    // As if the clock had been set back by a day since the last number.
    rusqlite::Connection::open(&journal)
        .unwrap()
        .execute(
            "UPDATE journal SET number_second = number_second + 86400",
            [],
        )
        .unwrap();
    register.init(&shop.conf);
    numbers.extend((0..50).map(|_| number(&register)));
    let different: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(different.len(), numbers.len());
    let times: Vec<_> = numbers.iter().map(|number| &number[..18]).collect();
    assert!(times.is_sorted(), "{times:?}");
    // A number pays.
    let last = numbers.pop().unwrap();
    register.pay(&last, &code("000")).expect(0);
    register.wait(&last).expect(0);
    // A second register of the shop has other numbers.
    let mut other = shop.conf.clone();
    other["trade_conf"]["device_id"] = json!("other");
    other["common_conf"]["journal_path"] = json!(":memory:");
    let neighbour = Register::start();
    neighbour.init(&other);
    assert_ne!(number(&neighbour), number(&register));
}

/// Invariant 10. A journal of a newer version, another program's or another merchant's database,
/// and a corrupt file are refused and stay as they were.
#[test]
fn an_upgrade_loses_nothing() {
    let shop = Shop::open();
    let journal = shop.folder.0.join("register.journal");
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    register.fini();
    let refused = |conf: &Value, words: &str| {
        let before = std::fs::read(&journal).unwrap();
        let reply = register.call("init", conf).expect(-1);
        assert!(
            reply.message().contains("journal_path"),
            "{}",
            reply.message()
        );
        assert!(reply.message().contains(words), "{}", reply.message());
        assert_eq!(std::fs::read(&journal).unwrap(), before, "{words}");
    };
    let sql = |statement: &str| {
        let db = rusqlite::Connection::open(&journal).unwrap();
        db.execute_batch(statement).unwrap();
    };
    let version: i64 = rusqlite::Connection::open(&journal)
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    let mut stranger = shop.conf.clone();
    stranger["trade_conf"]["out_sub_mch_id"] = json!("another");
    refused(&stranger, "belongs to merchant");
    sql("PRAGMA user_version = 1000");
    refused(&shop.conf, "newer");
    sql("PRAGMA user_version = 0");
    refused(&shop.conf, "another program");
    sql(&format!("PRAGMA user_version = {version}"));
    register.init(&shop.conf);
    register.query(&number).expect(0);
    register.fini();
    std::fs::write(
        &journal,
        b"not a database at all, but long enough to be looked at",
    )
    .unwrap();
    refused(&shop.conf, "corrupt");
}

/// Invariant 10. The journals in `tests/journals`, each written by the library of its time, open with
/// all that is in them: an order that was paid and refunded, and one that was never finished.
#[test]
fn journals_of_every_schema_open() {
    let journals: Vec<_> = std::fs::read_dir(crate::support::root().join("tests/journals"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!journals.is_empty());
    for journal in journals {
        let shop = Shop::open();
        let path = shop.folder.0.join("register.journal");
        std::fs::copy(&journal, &path).unwrap();
        let register = shop.register();
        let paid = register.begin_wait("sz0100old1", Duration::ZERO).get();
        let order = paid.expect(0).json();
        assert_eq!(order["total_fee"], 100);
        assert!(order["transaction_id"].is_string());
        let pending = register.raw("pending_orders", None, 1 << 16).expect(0);
        let pending = pending.json();
        assert_eq!(pending["orders"][0]["out_trade_no"], "sz0100old2");
        assert_eq!(pending["orders"][0]["recovered"], true);
        register.fini();
        let db = rusqlite::Connection::open(&path).unwrap();
        let refund: (String, i64) = db
            .query_row("SELECT out_trade_no, refund_fee FROM refunds", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(refund, ("sz0100old1".to_owned(), 40), "{journal:?}");
    }
}

/// A journal that was cut off anywhere is refused and stays as it is: what is missing would be
/// forgotten.
#[test]
fn a_journal_cut_at_any_page_is_refused() {
    let shop = Shop::open();
    let path = shop.folder.0.join("register.journal");
    let register = shop.register();
    for _ in 0..30 {
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        register.wait(&number).expect(0);
    }
    register.fini();
    let whole = std::fs::read(&path).unwrap();
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let pages = whole.len() / page;
    assert!(pages > 10, "{pages} pages");
    for cut in (1..pages).flat_map(|count| [count * page, count * page - page / 3]) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let reply = register.call("init", &shop.conf).expect(-1);
        assert!(reply.message().contains("corrupt"), "{}", reply.message());
        assert!(
            std::fs::read(&path).unwrap() == whole[..cut],
            "cut at {cut}"
        );
    }
    std::fs::write(&path, &whole).unwrap();
    register.init(&shop.conf);
}

/// A register is told "paid" by the journal when the gateway can't be reached.
#[test]
fn a_proven_verdict_survives_the_network() {
    let shop = Shop::open().common("connect_timeout_ms", 500);
    let register = shop.register();
    let (paid, open) = (shop.number(), shop.number());
    register.pay(&paid, &code("000")).expect(0);
    register.wait(&paid).expect(0);
    register.pay(&open, &code("002")).expect(0);
    register
        .begin_wait(&open, Duration::from_secs(1))
        .get()
        .expect(-2);
    shop.control_post("down", &json!({"listener": 0}));
    let order = register.query(&paid).expect(0).json();
    assert!(
        order["message"].as_str().unwrap().contains("journal"),
        "{order}"
    );
    assert_eq!(order["order_content"]["out_trade_no"], paid);
    register.query(&open).expect(-2);
    let unheard = json!({"out_trade_no": shop.number(), "trade_type": 1, "pay_platform": 1});
    register.call("query_order", &unheard).expect(-2);
}

/// A full disk: the payment is refused before anything is sent, and works again with space.
#[test]
fn a_full_disk_refuses_before_anything_is_sent() {
    let shop = Shop::open();
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    register.fini();
    // The journal may not grow by a single page any more.
    let limited = Register::spawn(std::process::Command::new("bash").arg("-c").arg(format!(
                "trap '' XFSZ; ulimit -f {}; exec {}",
                std::fs::metadata(shop.folder.0.join("register.journal")).unwrap().len() / 1024,
                crate::support::register_program().display()
            )));
    let conf = {
        let mut conf = shop.conf.clone();
        conf["common_conf"]["log_path"] = json!("off");
        conf
    };
    limited.init(&conf);
    let mut refused = None;
    for _ in 0..200 {
        let number = shop.number();
        let reply = limited.pay(&number, &code("000"));
        if reply.code == -1 {
            refused = Some((number, reply));
            break;
        }
        limited.wait(&number).expect(0);
    }
    let (refused, reply) = refused.expect("the disk never filled");
    assert!(reply.message().contains("journal"), "{}", reply.message());
    assert_eq!(shop.ledger(&refused)["pay_requests"], json!(null));
    limited.kill();
    // With space again, the same number is paid.
    let register = shop.register();
    register.pay(&refused, &code("000")).expect(0);
    register.wait(&refused).expect(0);
    assert_eq!(shop.ledger(&refused)["charges"], 1);
}

/// A payment code is good for one payment, also for the next process. What the journal keeps for
/// that is not the code, and goes when the order has ended.
#[test]
fn a_second_scan_is_known_after_a_restart() {
    for gateway in Gateway::BOTH {
        let shop = Shop::at(gateway, Options::default());
        let register = shop.register();
        let (first, second, paid) = (shop.number(), shop.number(), shop.number());
        let open = code("002");
        register.pay(&first, &open).expect(0);
        register.pay(&paid, &code("000")).expect(0);
        register.wait(&paid).expect(0);
        shop.arrived(&first);
        register.kill();
        let register = shop.register();
        let refused = register.pay(&second, &open).expect(-1);
        assert!(refused.message().contains(&first), "{}", refused.message());
        assert!(shop.ledger(&second).is_null());
        register.fini();
        let journal = shop.folder.0.join("register.journal");
        let digests = rusqlite::Connection::open(&journal)
            .unwrap()
            .prepare("SELECT out_trade_no FROM orders WHERE code_hmac IS NOT NULL")
            .unwrap()
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>();
        assert_eq!(digests, [first]);
    }
}
