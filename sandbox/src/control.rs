//! The control interface under `/sandbox/`, and the table of all paths.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, body::Body};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::app::{App, lock};
use crate::cloudpay;
use crate::console;
use crate::epay123;
use crate::faults::Faults;
use crate::ledger::{Ledger, Record, Undo};
use crate::net::ListenerIndex;
use crate::order::{Asker, Order, Protocol, What};
use crate::reply::Reply;

type Shared = State<Arc<App>>;

/// The control interface and the console; both are served by every listener.
pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/sandbox/ledger", get(ledger))
        .route("/sandbox/ledger/{no}", get(ledger_of))
        .route(
            "/sandbox/faults",
            get(faults).post(set_faults).delete(clear_faults),
        )
        .route("/sandbox/orders/{no}/{verb}", post(click))
        .route("/sandbox/listeners", get(listeners))
        .route("/sandbox/down", post(down))
        .route("/sandbox/up", post(up))
        .route("/sandbox/log", get(log))
        .route("/sandbox/warnings", get(warnings).delete(clear_warnings))
        .route("/sandbox/uploads", get(uploads))
        .route("/sandbox/callbacks", get(callbacks))
        .with_state(app.clone())
        .merge(console::routes(app))
}

/// What a gateway's listener serves.
pub(crate) fn gateway(app: Arc<App>) -> Router {
    Router::new()
        .route("/cpay/ping", get(ping))
        .route("/cpay/{interface}", post(cpay))
        .route("/api/{group}/{interface}", post(epay))
        .layer(DefaultBodyLimit::max(4 << 20))
        .with_state(app.clone())
        .merge(routes(app))
}

async fn ping(State(app): Shared) -> Reply {
    if app.chaos().faults.ping_down {
        return Reply::Plain(StatusCode::SERVICE_UNAVAILABLE, "down\n");
    }
    Reply::Json(json!({ "status": 0 }).to_string())
}

async fn cpay(
    State(app): Shared,
    Extension(ListenerIndex(listener)): Extension<ListenerIndex>,
    Path(interface): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    cloudpay::serve(app, listener, interface, headers, body).await
}

async fn epay(
    State(app): Shared,
    Extension(ListenerIndex(listener)): Extension<ListenerIndex>,
    Path((group, interface)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let path = format!("/api/{group}/{interface}");
    epay123::serve(app, listener, path, headers, body).await
}

/// An answer of the control interface.
pub(crate) fn shown(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).unwrap_or_default();
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        Body::from(text),
    )
        .into_response()
}

fn fine(value: &impl Serialize) -> Response {
    shown(StatusCode::OK, value)
}

fn wrong(status: StatusCode, why: impl std::fmt::Display) -> Response {
    shown(status, &json!({ "error": why.to_string() }))
}

async fn ledger(State(app): Shared) -> Response {
    let mut orders = Map::new();
    let numbers = app.ledger(|l| l.numbers());
    // Some at a time: payments go on while a long ledger is written out.
    for some in numbers.chunks(500) {
        app.ledger(|l| {
            for no in some {
                if let Some(record) = l.record(no) {
                    orders.insert(no.to_string(), page(record));
                }
            }
        });
    }
    fine(&json!({ "orders": orders }))
}

async fn ledger_of(State(app): Shared, Path(no): Path<String>) -> Response {
    match app.ledger(|l| l.record(&no).map(page)) {
        Some(page) => fine(&page),
        None => wrong(StatusCode::NOT_FOUND, "no such number"),
    }
}

/// A number's page in the ledger. Numbers without an order have a page too: what was dropped is part of the story.
fn page(record: &Record) -> Value {
    let traffic = &record.traffic;
    let hash = |h: &[u8; 32]| crate::clock::hex_upper(h).to_lowercase();
    let order = record.order.as_deref();
    let sum = |what| order.map_or(0, |o| o.sum(what));
    let count = |what| order.map_or(0, |o| o.entries.iter().filter(|e| e.what == what).count());
    let asker = order.map(asker).unwrap_or_default();
    json!({
        "kind": order.map_or("none", |o| o.kind.name()),
        "pay_platform": order.map_or(0, |o| o.platform.number()),
        "total_fee": order.map_or(0, |o| o.total_fee),
        "state": order.map_or("none", |o| o.state_name()),
        "charged": sum(What::Charge),
        "charges": count(What::Charge),
        "reversed": sum(What::Reverse),
        "refunded": sum(What::Refund),
        "net": order.map_or(0, |o| o.net()),
        "pay_requests": traffic.pay_requests.len(),
        "queries": traffic.queries,
        "reverse_requests": traffic.undos(Undo::Reverse),
        "close_requests": traffic.undos(Undo::Close),
        "undo_requests": traffic.undo_requests,
        "refund_requests": traffic.refund_requests,
        "request_bodies_sha256": traffic.pay_requests.iter().map(hash).collect::<Vec<_>>(),
        "entries": order.map(|o| o.entries.clone()).unwrap_or_default(),
        "device_id": asker.device_id,
        "machine_no": asker.machine_no,
        "client_ip": asker.client_ip,
        "listener": order.map(|o| o.listener),
        "author_code": asker.author_code,
        "attach": asker.attach,
    })
}

/// Who asked for an order, read from its request again.
fn asker(order: &Order) -> Asker {
    match order.protocol {
        Protocol::CloudPay => cloudpay::asker(order),
        Protocol::Epay123 => epay123::asker(order),
    }
}

async fn faults(State(app): Shared) -> Response {
    let faults = app.chaos().faults.clone();
    fine(&faults)
}

async fn set_faults(State(app): Shared, body: Bytes) -> Response {
    match serde_json::from_slice::<Faults>(&body) {
        Ok(faults) => {
            app.chaos().set(faults.clone());
            fine(&faults)
        }
        Err(e) => wrong(StatusCode::BAD_REQUEST, e),
    }
}

async fn clear_faults(State(app): Shared) -> Response {
    app.chaos().set(Faults::default());
    fine(&Faults::default())
}

async fn click(State(app): Shared, Path((no, verb)): Path<(String, String)>) -> Response {
    let act = match verb.as_str() {
        "pay" => Ledger::pay,
        "decline" => Ledger::decline,
        _ => return wrong(StatusCode::NOT_FOUND, "pay or decline"),
    };
    let (done, state) = app.ledger(|l| (act(l, &no), l.order(&no).map(|o| o.state_name())));
    match state {
        Some(state) if done => fine(&json!({ "state": state })),
        Some(state) => wrong(StatusCode::CONFLICT, format!("the order is {state}")),
        None => wrong(StatusCode::NOT_FOUND, "no such order"),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Which {
    listener: usize,
}

fn which(body: &Bytes) -> Result<usize, Box<Response>> {
    if body.is_empty() {
        return Ok(0);
    }
    let which: Result<Which, _> = serde_json::from_slice(body);
    which
        .map(|w| w.listener)
        .map_err(|e| Box::new(wrong(StatusCode::BAD_REQUEST, e)))
}

async fn listeners(State(app): Shared) -> Response {
    let states = app.listeners.states().await;
    let list: Vec<Value> = states
        .iter()
        .zip(&app.urls)
        .map(|((_, up), url)| json!({ "url": url, "up": up }))
        .collect();
    fine(&list)
}

async fn down(State(app): Shared, body: Bytes) -> Response {
    let index = match which(&body) {
        Ok(index) => index,
        Err(refusal) => return *refusal,
    };
    // On a task of its own: the request may have come by the very listener, and ends with it.
    let done = tokio::spawn(async move { app.listeners.down(index).await }).await;
    match done {
        Ok(Some(())) => fine(&json!({ "listener": index, "up": false })),
        _ => wrong(StatusCode::NOT_FOUND, "no such listener"),
    }
}

async fn up(State(app): Shared, body: Bytes) -> Response {
    let index = match which(&body) {
        Ok(index) => index,
        Err(refusal) => return *refusal,
    };
    match app.listeners.up(index, gateway(app.clone())).await {
        Some(Ok(())) => fine(&json!({ "listener": index, "up": true })),
        Some(Err(e)) => wrong(StatusCode::CONFLICT, e),
        None => wrong(StatusCode::NOT_FOUND, "no such listener"),
    }
}

async fn log(State(app): Shared) -> Response {
    let list: Vec<_> = lock(&app.requests).iter().cloned().collect();
    fine(&list)
}

async fn warnings(State(app): Shared) -> Response {
    let list: Vec<_> = lock(&app.warnings).iter().cloned().collect();
    fine(&list)
}

async fn clear_warnings(State(app): Shared) -> Response {
    lock(&app.warnings).clear();
    fine(&Vec::<Value>::new())
}

async fn uploads(State(app): Shared) -> Response {
    let list: Vec<_> = lock(&app.uploads).iter().cloned().collect();
    fine(&list)
}

async fn callbacks(State(app): Shared) -> Response {
    fine(&app.callbacks.all())
}
