//! Libraries written for tokio, inside of `aioxide::run`.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use aioxide::{FutureExt, create_task, gather_all, sleep, to_thread, wait_for};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn tokio_net_echoes_on_the_loops_own_thread() {
    aioxide::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = create_task(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut buffer = [0; 1024];
            loop {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return std::io::Result::Ok(());
                }
                stream.write_all(&buffer[..count]).await?;
            }
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = [0; 5];
        for _ in 0..500 {
            stream.write_all(b"hello").await.unwrap();
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"hello");
        }
        drop(stream);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn timers_and_other_threads_are_noticed_while_tokio_sleeps() {
    aioxide::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Something waits in tokio all the time.
        let accepting = create_task(async move { listener.accept().cancellable().await.map(drop) });
        for _ in 0..20 {
            let start = Instant::now();
            sleep(Duration::from_micros(700)).await.unwrap();
            assert!(start.elapsed() >= Duration::from_micros(700));
            to_thread(|| ()).await.unwrap();
        }
        accepting.cancel();
        assert!(accepting.await.unwrap().is_err());
        sleep(Duration::from_millis(1)).await.unwrap();
    });
}

#[test]
fn tokio_time_spawn_and_sync_work() {
    aioxide::run(async {
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(start.elapsed() >= Duration::from_millis(5));
        let (send, receive) = tokio::sync::oneshot::channel();
        let spawned = tokio::task::spawn_local(async move { send.send(3).unwrap() });
        assert_eq!(receive.await.unwrap(), 3);
        spawned.await.unwrap();
        let late = wait_for(tokio::time::sleep(Duration::from_secs(60)), Duration::from_millis(1));
        assert!(late.await.is_err());
        assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
    });
}

#[test]
fn tokio_fs_reads_and_writes() {
    let path = std::env::temp_dir().join(format!("aioxide-hosting-{}", std::process::id()));
    aioxide::run(async {
        tokio::fs::write(&path, b"spring\nsummer\n").await.unwrap();
        let text = tokio::fs::read_to_string(&path).await.unwrap();
        assert_eq!(text.lines().count(), 2);
        tokio::fs::remove_file(&path).await.unwrap();
    });
}

#[test]
fn a_spinning_task_starves_neither_tokio_nor_timers() {
    aioxide::run(async {
        let spinner = create_task(async { while sleep(Duration::ZERO).await.is_ok() {} });
        tokio::time::sleep(Duration::from_millis(2)).await;
        sleep(Duration::from_millis(2)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
        assert!(accepted.is_ok() && connected.is_ok());
        spinner.cancel();
        spinner.await.unwrap();
    });
}

#[test]
fn hyper_serves_and_asks() {
    aioxide::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = create_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                create_task(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        });
        let requests = (0..50).map(|number| async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .unwrap();
            let connection = create_task(connection);
            let request = Request::get(format!("/price/{number}")).header("host", "here");
            let response = sender
                .send_request(request.body(Empty::<Bytes>::new()).unwrap())
                .await
                .unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            drop(sender);
            connection.await.unwrap().unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        });
        let answers = gather_all(requests).await.unwrap();
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), format!("you asked for /price/{number}"));
        }
        server.cancel();
    });
}

async fn answer(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    sleep(Duration::from_millis(1)).await.expect("nobody cancels it");
    let text = format!("you asked for {}", request.uri().path());
    Ok(Response::new(Full::new(Bytes::from(text))))
}
