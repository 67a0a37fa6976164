//! Pages for a person: the console at `/`, and the page that a scanned QR code opens.

use std::fmt::{Display, Write};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::app::{App, lock};
use crate::clock::now_ms;
use crate::ledger::Ledger;
use crate::order::{Order, State as OrderState};

type Shared = State<Arc<App>>;

/// How many orders, requests and notifications the console shows.
const ORDERS: usize = 100;
const OTHERS: usize = 50;

/// The pages.
pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(console))
        .route("/sandbox/console/{no}/{verb}", post(console_click))
        .route("/sandbox/scan/{which}", get(scan))
        .route("/sandbox/scan/{which}/{verb}", post(scan_click))
        .with_state(app)
}

async fn console(State(app): Shared) -> Html<String> {
    let mut rows = String::new();
    app.ledger(|ledger| {
        let numbers: Vec<Box<str>> = ledger.newest().take(ORDERS).cloned().collect();
        for no in numbers {
            if let Some(order) = ledger.order(&no) {
                order_row(order, &mut rows);
            }
        }
    });
    let mut requests = String::new();
    for r in lock(&app.requests).iter().rev().take(OTHERS) {
        let cells: [&dyn Display; 7] = [
            &Ago(r.at_ms),
            &r.path,
            &r.out_trade_no,
            &r.status,
            &r.internal_status,
            &r.verdict,
            &r.fault,
        ];
        row(&cells, &mut requests);
    }
    let mut notices = String::new();
    for d in app.callbacks.all().iter().rev().take(OTHERS) {
        let cells: [&dyn Display; 6] = [
            &Ago(d.at_ms),
            &d.kind,
            &d.out_trade_no,
            &d.tries,
            &d.state,
            &d.last,
        ];
        row(&cells, &mut notices);
    }
    let body = format!(
        "<h1>云支付沙箱 cloudpay sandbox</h1>\
         <h2>订单 Orders</h2><table><tr><th>时间 Age<th>订单号 Number<th>方式 Kind<th>状态 State<th>金额 Amount\
         <th>实收 Net<th></tr>{rows}</table>\
         <h2>请求 Requests</h2><table><tr><th>时间 Age<th>路径 Path<th>订单号 Number<th>状态 Status\
         <th>内部状态 Internal<th>结论 Verdict<th>故障 Fault</tr>{requests}</table>\
         <h2>通知 Notifications</h2><table><tr><th>时间 Age<th>种类 Kind<th>订单号 Number<th>次数 Tries\
         <th>状态 State<th>最后结果 Last result</tr>{notices}</table>"
    );
    page("云支付沙箱 cloudpay sandbox", true, &body)
}

fn order_row(order: &Order, rows: &mut String) {
    let _ = write!(
        rows,
        "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>",
        Ago(order.created_ms),
        Escaped(&order.no),
        order.kind.name(),
        state_words(order),
        yuan(i64::try_from(order.total_fee).unwrap_or(i64::MAX)),
        yuan(order.net()),
    );
    if order.state == OrderState::Waiting {
        buttons(&format!("/sandbox/console/{}", path_part(&order.no)), rows);
    }
    rows.push_str("</tr>");
}

fn buttons(at: &str, html: &mut String) {
    for (verb, label) in [("pay", "支付 Pay"), ("decline", "拒绝 Decline")] {
        let _ = write!(
            html,
            "<form method=post action=\"{}/{verb}\"><button>{label}</button></form> ",
            Escaped(at)
        );
    }
}

async fn console_click(State(app): Shared, Path((no, verb)): Path<(String, String)>) -> Response {
    click(&app, &no, &verb);
    Redirect::to("/").into_response()
}

async fn scan(State(app): Shared, Path(which): Path<String>) -> Response {
    let shown = app.ledger(|ledger| {
        let order = find(ledger, &which)?;
        let mut body = format!(
            "<h1>{}</h1><p>订单 Order {}</p><p>状态 State: {}</p>",
            yuan(i64::try_from(order.total_fee).unwrap_or(i64::MAX)),
            Escaped(&order.no),
            state_words(order)
        );
        if order.state == OrderState::Waiting {
            buttons(&format!("/sandbox/scan/{}", order.seq), &mut body);
        }
        Some(body)
    });
    match shown {
        Some(body) => page("付款 Pay", false, &body).into_response(),
        None => (
            StatusCode::NOT_FOUND,
            page("?", false, "<h1>订单不存在 No such order</h1>"),
        )
            .into_response(),
    }
}

async fn scan_click(State(app): Shared, Path((which, verb)): Path<(String, String)>) -> Response {
    let found = app.ledger(|ledger| find(ledger, &which).map(|o| (o.no.to_string(), o.seq)));
    match found {
        Some((no, seq)) => {
            click(&app, &no, &verb);
            Redirect::to(&format!("/sandbox/scan/{seq}")).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The order that a scan page is about: by its sequence, as QR codes have it, or by its number.
fn find<'a>(ledger: &'a mut Ledger, which: &str) -> Option<&'a Order> {
    let by_number = ledger.order(which).is_some();
    match which.parse() {
        Ok(seq) if !by_number => ledger.by_seq(seq),
        _ => ledger.order(which),
    }
}

fn click(app: &Arc<App>, no: &str, verb: &str) {
    app.ledger(|ledger| match verb {
        "pay" => ledger.pay(no),
        "decline" => ledger.decline(no),
        _ => false,
    });
}

fn state_words(order: &Order) -> &'static str {
    match order.state_name() {
        "paying" => "支付中 paying",
        "waiting" => "待支付 waiting",
        "paid" => "已支付 paid",
        "refunded" => "已退款 refunded",
        "stopped" => "已拒绝 declined",
        "failed" => "失败 failed",
        "closed" => "已关闭 closed",
        _ => "已撤销 reversed",
    }
}

/// Fen as yuan.
fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    format!("{sign}¥{}.{:02}", fen / 100, fen % 100)
}

fn row(cells: &[&dyn Display], rows: &mut String) {
    rows.push_str("<tr>");
    for cell in cells {
        let _ = write!(rows, "<td>{}", Escaped(&cell.to_string()));
    }
    rows.push_str("</tr>");
}

fn page(title: &str, refresh: bool, body: &str) -> Html<String> {
    let refresh = if refresh {
        "<meta http-equiv=refresh content=5>"
    } else {
        ""
    };
    Html(format!(
        "<!DOCTYPE html><html lang=zh><meta charset=utf-8>{refresh}<meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:16px sans-serif;margin:1em}}table{{border-collapse:collapse}}\
         td,th{{border:1px solid #ccc;padding:.3em .6em;text-align:left}}form{{display:inline}}\
         button{{font-size:1em}}</style>{body}</html>"
    ))
}

/// Text that came from outside, safe between tags and in quoted attributes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A text as one part of a path.
fn path_part(text: &str) -> String {
    text.bytes().fold(String::new(), |mut part, b| {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => part.push(char::from(b)),
            other => {
                let _ = write!(part, "%{other:02X}");
            }
        }
        part
    })
}

/// How long ago a time (unix ms) was.
struct Ago(u64);

impl Display for Ago {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = now_ms().saturating_sub(self.0) / 1000;
        match s {
            0..=59 => write!(f, "{s} s"),
            60..=3599 => write!(f, "{} min", s / 60),
            _ => write!(f, "{} h", s / 3600),
        }
    }
}
