//! The listeners: accepting, serving, and being taken down and up.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::reply::CutMark;

/// Which listener a request came by; put into its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenerIndex(pub(crate) usize);

/// One address that is served, or was and can be again.
struct Slot {
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// The HTTPS listeners of one gateway.
pub(crate) struct Listeners {
    slots: Vec<Mutex<Slot>>,
    tls: TlsAcceptor,
}

impl Listeners {
    /// Takes over bound sockets; nothing is accepted before `up`.
    pub(crate) fn new(addresses: &[SocketAddr], tls: TlsAcceptor) -> Self {
        let slots = addresses
            .iter()
            .map(|a| {
                Mutex::new(Slot {
                    address: *a,
                    running: None,
                })
            })
            .collect();
        Self { slots, tls }
    }

    /// Serves a listener again, on the same port. Nothing happens when it is up. `None`: there is no such listener.
    pub(crate) async fn up(&self, index: usize, router: Router) -> Option<io::Result<()>> {
        let mut slot = self.slots.get(index)?.lock().await;
        if slot.running.is_some() {
            return Some(Ok(()));
        }
        match TcpListener::bind(slot.address).await {
            Ok(socket) => {
                self.run(&mut slot, index, socket, router);
                Some(Ok(()))
            }
            Err(e) => Some(Err(e)),
        }
    }

    /// Serves a listener whose socket is bound already.
    pub(crate) async fn begin(&self, index: usize, socket: TcpListener, router: Router) {
        if let Some(slot) = self.slots.get(index) {
            self.run(&mut *slot.lock().await, index, socket, router);
        }
    }

    /// Takes a listener down: its port refuses, and every connection it had is closed when this returns.
    pub(crate) async fn down(&self, index: usize) -> Option<()> {
        let mut slot = self.slots.get(index)?.lock().await;
        if let Some((stop, task)) = slot.running.take() {
            drop(stop);
            let _ = task.await;
        }
        Some(())
    }

    /// For each listener: its address, and whether it is up.
    pub(crate) async fn states(&self) -> Vec<(SocketAddr, bool)> {
        let mut states = Vec::new();
        for slot in &self.slots {
            let slot = slot.lock().await;
            states.push((slot.address, slot.running.is_some()));
        }
        states
    }

    fn run(&self, slot: &mut Slot, index: usize, socket: TcpListener, router: Router) {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(
            index,
            socket,
            Some(self.tls.clone()),
            router,
            stopped,
        ));
        slot.running = Some((stop, task));
    }
}

/// Accepts until the sender of `stopped` is dropped; then closes the port and every connection.
pub(crate) async fn accept(
    index: usize,
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of file handles, or the peer was gone already: the next one may do better.
                Err(_) => {
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        connections.spawn(connection(index, stream, tls.clone(), router.clone()));
    }
    drop(socket);
    connections.shutdown().await;
}

async fn connection(index: usize, stream: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    match tls {
        None => serve(index, stream, router).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(index, stream, router).await;
            }
        }
    }
}

async fn serve<S>(index: usize, stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = Arc::new(TowerToHyperService::new(router));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let router = router.clone();
        async move {
            request.extensions_mut().insert(ListenerIndex(index));
            answer(&router, request).await
        }
    });
    // An error here is a cut connection: the peer's, or one that a scenario asked for.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    router: &TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let response: Result<Response<Body>, Infallible> = router.call(request).await;
    match response {
        Ok(response) if response.extensions().get::<CutMark>().is_some() => {
            Err(io::Error::other("cut on purpose"))
        }
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}
