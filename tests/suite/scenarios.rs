//! Every scenario of the sandbox, driven from C, ends in the code and the state that the ABI and
//! the life of a payment demand, and the ledger agrees.

use serde_json::Value;

use cloudpay_sandbox::Options;

use crate::support::{Gateway, Reply, Shop, alipay_code, code};

/// One way a payment can go.
struct Case {
    scenario: &'static str,
    code: i32,
    state: &'static str,
    /// Charges in the ledger at the end.
    charges: i64,
    /// Pay requests that reached the gateway.
    pay_requests: i64,
}

const fn case(
    scenario: &'static str,
    code: i32,
    state: &'static str,
    charges: i64,
    pay_requests: i64,
) -> Case {
    Case {
        scenario,
        code,
        state,
        charges,
        pay_requests,
    }
}

/// Scenarios that end by themselves.
const CASES: [Case; 19] = [
    case("000", 0, "paid", 1, 1),
    case("123", 0, "paid", 1, 1),
    case("001", 0, "paid", 1, 1),
    case("004", -1, "failed", 0, 1),
    case("005", 0, "paid", 1, 1),
    case("006", 0, "paid", 1, 2),
    case("007", 0, "paid", 1, 2),
    case("101", -1, "failed", 0, 1),
    case("102", -1, "failed", 0, 1),
    case("104", -1, "failed", 0, 1),
    case("407", -6, "reentry", 0, 1),
    case("901", 0, "paid", 1, 1),
    case("902", 0, "paid", 1, 2),
    case("903", 0, "paid", 1, 1),
    case("904", 0, "paid", 1, 1),
    case("905", 0, "paid", 1, 1),
    case("906", 0, "paid", 1, 1),
    case("907", 0, "paid", 1, 1),
    case("908", 0, "paid", 1, 1),
];

/// 909 is not about faults, and 910 leaves the payment unsent: both by name.
const MORE: [Case; 2] = [
    case("909", 0, "paid", 1, 1),
    // Refused without authentication: unknown, then "no such order" twice, then sent again; the
    // gateway refuses that too, and a last query confirms it.
    case("910", -1, "failed", 0, 2),
];

#[track_caller]
fn check(shop: &Shop, case: &Case, number: &str, reply: &Reply) {
    let name = case.scenario;
    assert_eq!(reply.code, case.code, "{name}: {}", reply.message());
    let order = reply.json();
    assert_eq!(order["state"], case.state, "{name}");
    assert_eq!(order["out_trade_no"], number, "{name}");
    assert_eq!(order["total_fee"], 100, "{name}");
    if case.code == 0 {
        assert_eq!(order["evidence"]["authenticated"], true, "{name}: {order}");
        assert_eq!(order["evidence"]["source"], "gateway", "{name}");
        let content = &order["order_content"];
        let named = [&content["out_trade_no"], &content["mchOrderNo"]];
        assert!(named.iter().any(|no| **no == *number), "{name}: {content}");
        assert!(order["transaction_id"].is_string(), "{name}: {order}");
    } else {
        assert!(
            !reply.message().is_empty(),
            "{name}: a reason has to be given"
        );
    }
    let ledger = shop.ledger(number);
    assert_eq!(ledger["charges"], case.charges, "{name}: {ledger}");
    assert_eq!(
        ledger["pay_requests"], case.pay_requests,
        "{name}: {ledger}"
    );
    assert_eq!(ledger["reverse_requests"], 0, "{name}: {ledger}");
    let bodies = ledger["request_bodies_sha256"].as_array().unwrap();
    assert!(
        bodies.iter().all(|body| body == &bodies[0]),
        "{name}: the same bytes are sent again, or none"
    );
}

/// What differs at the epay123 gateway, which takes a number once: what never arrived is not sent
/// again, and a refusal leaves no order behind.
const EPAY123: [Case; 7] = [
    case("006", -1, "failed", 0, 1),
    case("007", -1, "failed", 0, 1),
    case("407", -1, "failed", 0, 1),
    case("902", -1, "failed", 0, 1),
    case("910", -1, "failed", 0, 1),
    case("102", -1, "failed", 0, 1),
    case("003", -1, "failed", 0, 1),
];

fn run_all(gateway: Gateway, make_code: fn(&str) -> String, customer_says_no: Case) {
    let shop = Shop::at(gateway, Options::default());
    let register = shop.register();
    let differs: &[Case] = match gateway {
        Gateway::CloudPay => &[],
        Gateway::Epay123 => &EPAY123,
    };
    let cases: Vec<&Case> = CASES
        .iter()
        .chain(&MORE)
        .chain([&customer_says_no])
        .map(|case| {
            let other = differs.iter().find(|other| other.scenario == case.scenario);
            other.unwrap_or(case)
        })
        .collect();
    let orders: Vec<(&Case, String)> = cases
        .into_iter()
        .map(|case| (case, shop.number()))
        .collect();
    for (case, number) in &orders {
        register.pay(number, &make_code(case.scenario)).expect(0);
    }
    for (case, number) in &orders {
        let reply = register.wait(number);
        check(&shop, case, number, &reply);
        // A query afterwards says the same.
        let again = register.query(number);
        assert_eq!(again.code, case.code, "{}: {again:?}", case.scenario);
    }
    assert_no_warnings(&shop);
    register.fini();
}

/// The sandbox notes every key that the protocol doesn't define, and every empty one.
#[track_caller]
fn assert_no_warnings(shop: &Shop) {
    assert_eq!(shop.control_get("warnings"), Value::Array(Vec::new()));
}

#[test]
fn every_scenario_ends_as_the_abi_demands_for_wechat() {
    run_all(Gateway::CloudPay, code, case("003", -1, "failed", 0, 1));
}

#[test]
fn every_scenario_ends_as_the_abi_demands_for_alipay() {
    // Alipay has one state for closed and refunded, and uses it here.
    run_all(
        Gateway::CloudPay,
        alipay_code,
        case("003", -4, "closed", 0, 1),
    );
}

#[test]
fn every_scenario_ends_as_the_abi_demands_at_epay123() {
    std::thread::scope(|scope| {
        for make_code in [code as fn(&str) -> String, alipay_code] {
            let customer_says_no = case("003", -1, "failed", 0, 1);
            scope.spawn(move || run_all(Gateway::Epay123, make_code, customer_says_no));
        }
    });
}

#[test]
fn a_payment_the_customer_never_confirms_stays_unknown() {
    let shop = Shop::open();
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("002")).expect(0);
    let reply = register
        .begin_wait(&number, std::time::Duration::from_secs(4))
        .get()
        .expect(-2);
    assert_eq!(reply.json()["state"], "paying");
    register.query(&number).expect(-2);
}

/// The same for QR codes: what spoils the answer to the order spoils the code, not the payment.
#[test]
fn every_scenario_of_a_qr_code_ends_as_the_abi_demands() {
    const CASES: [Case; 16] = [
        case("000", 0, "paid", 1, 1),
        case("001", 0, "paid", 1, 1),
        case("003", -1, "failed", 0, 1),
        case("004", -1, "failed", 0, 1),
        case("005", 0, "paid", 1, 1),
        case("006", 0, "paid", 1, 2),
        case("007", 0, "paid", 1, 2),
        case("101", -1, "failed", 0, 1),
        case("104", -1, "failed", 0, 1),
        case("407", -6, "reentry", 0, 1),
        case("901", 0, "paid", 1, 1),
        case("902", 0, "paid", 1, 2),
        case("904", 0, "paid", 1, 1),
        case("905", 0, "paid", 1, 1),
        case("907", 0, "paid", 1, 1),
        case("908", 0, "paid", 1, 1),
    ];
    let shop = Shop::open();
    let register = shop.register();
    let orders = CASES.map(|case| (case, shop.number()));
    for (case, number) in &orders {
        register.scan(number, Some(case.scenario)).expect(0);
    }
    for (case, number) in &orders {
        check(&shop, case, number, &register.wait(number));
    }
    assert_no_warnings(&shop);
    register.fini();
}

#[test]
fn a_qr_code_is_shown_and_paid() {
    for gateway in Gateway::BOTH {
        qr_code_is_shown_and_paid(&Shop::at(gateway, Options::default()));
    }
}

fn qr_code_is_shown_and_paid(shop: &Shop) {
    let register = shop.register();
    let number = shop.number();
    register.scan(&number, None).expect(0);
    let request = serde_json::json!({"out_trade_no": number, "until": "code_ready"}).to_string();
    let ready = register
        .begin("wait_order", Some(request.as_bytes()), 4096, 30_000)
        .get()
        .expect(-5)
        .json();
    assert_eq!(ready["state"], "code_ready");
    assert!(ready["code_url"].as_str().unwrap().starts_with("https://"));
    // The code stays known while the customer takes the time to scan it.
    let queried = register.query(&number).expect(-5).json();
    assert_eq!(queried["code_url"], ready["code_url"]);
    shop.control_post(&format!("orders/{number}/pay"), &Value::Null);
    register.wait(&number).expect(0);
    assert_eq!(shop.ledger(&number)["charges"], 1);
}
