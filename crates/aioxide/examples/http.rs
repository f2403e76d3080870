//! HTTP with hyper: a hundred requests at once.
//!
//! A library written for tokio runs on the loop's own thread, between the other tasks: nothing is set up for it. A
//! server and its client in one program; every answer takes the server 0.1 s of waiting.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aioxide::{FutureExt, create_task, gather, run, sleep};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const REQUESTS: usize = 100;

type Failure = Box<dyn Error>;

async fn price(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let article: usize = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    // A server that is being stopped answers at once.
    sleep(Duration::from_millis(100)).await.ok();
    Ok(Response::new(Full::new(Bytes::from((article * 3).to_string()))))
}

async fn serve(listener: TcpListener) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().cancellable().await??;
        drop(create_task(async move {
            let service = service_fn(price);
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
        }));
    }
}

async fn price_of(address: SocketAddr, article: usize) -> Result<usize, Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = create_task(connection);
    let request = Request::get(format!("/{article}")).body(Empty::<Bytes>::new())?;
    let body = sender
        .send_request(request)
        .await?
        .into_body()
        .collect()
        .await?
        .to_bytes();
    connection.cancel();
    Ok(std::str::from_utf8(&body)?.parse()?)
}

fn main() -> Result<(), Failure> {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?; // Port 0: any free one.
        let address = listener.local_addr()?;
        let server = create_task(serve(listener));
        let started = Instant::now();
        let prices = gather((0..REQUESTS).map(|article| price_of(address, article))).await?;
        let took = started.elapsed();
        println!("{REQUESTS} requests in {:.2} s", took.as_secs_f64());
        assert_eq!(prices, (0..REQUESTS).map(|article| article * 3).collect::<Vec<_>>());
        assert!(took < Duration::from_secs(5));
        server.cancel();
        assert!(server.await?.is_err());
        Ok(())
    })
}
