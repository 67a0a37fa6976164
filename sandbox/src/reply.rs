//! Answers as they go on the wire, also the broken ones.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::time::{Sleep, sleep};

/// What the register gets.
#[derive(Debug)]
pub(crate) enum Reply {
    /// HTTP 200 with JSON.
    Json(String),
    /// HTTP 200, the length of all of it, and half of it.
    Half(String),
    /// A proxy's HTTP 502 with a page of HTML.
    BadGateway,
    /// HTTP 200 that calls itself JSON and isn't.
    Garbage,
    /// HTTP 200 without a body.
    Empty,
    /// No answer: the connection ends.
    Cut,
    /// Some other HTTP status with a line of text.
    Plain(StatusCode, &'static str),
}

/// Marks a response that is never sent: the connection that asked for it is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutMark;

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(text) => json_response(Body::from(text)),
            Self::Half(text) => {
                let length = HeaderValue::from(text.len());
                let mut bytes = Bytes::from(text);
                bytes.truncate(bytes.len() / 2);
                let mut response = json_response(Body::new(HalfBody {
                    first: Some(bytes),
                    pause: Box::pin(sleep(FLUSH)),
                }));
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
                response
            }
            Self::BadGateway => {
                let page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";
                (
                    StatusCode::BAD_GATEWAY,
                    [(header::CONTENT_TYPE, "text/html")],
                    page,
                )
                    .into_response()
            }
            Self::Garbage => {
                json_response(Body::from("{\"response_content\": \u{0}\u{0} not JSON"))
            }
            Self::Empty => json_response(Body::empty()),
            Self::Cut => {
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(CutMark);
                response
            }
            Self::Plain(status, text) => (status, text).into_response(),
        }
    }
}

fn json_response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Long enough for the server to write out the first half before it sees the failure.
const FLUSH: Duration = Duration::from_millis(20);

/// A body that fails after its first part.
struct HalfBody {
    first: Option<Bytes>,
    pause: Pin<Box<Sleep>>,
}

impl hyper::body::Body for HalfBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.pause.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(io::Error::other("cut in half")))),
            Poll::Pending => Poll::Pending,
        }
    }
}
