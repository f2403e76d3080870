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

#[test]
fn tokio_channels_and_threads_wake_tasks_of_the_loop() {
    aioxide::run(async {
        let (send, mut receive) = tokio::sync::mpsc::channel::<u32>(4);
        let thread = std::thread::spawn(move || {
            for number in 0..2_000 {
                send.blocking_send(number).unwrap();
            }
        });
        let sum = create_task(async move {
            let mut sum = 0;
            while let Some(number) = receive.recv().await {
                sum += number;
            }
            sum
        });
        assert_eq!(
            wait_for(sum, Duration::from_secs(20)).await.unwrap().unwrap(),
            1_999_000
        );
        thread.join().unwrap();
    });
}

#[test]
fn a_channel_that_is_never_empty_leaves_the_others_their_turn() {
    aioxide::run(async {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel::<u32>();
        for number in 0..100_000 {
            send.send(number).unwrap();
        }
        let turns = std::rc::Rc::new(std::cell::Cell::new(0));
        let counted = std::rc::Rc::clone(&turns);
        let other = create_task(async move {
            while sleep(Duration::ZERO).await.is_ok() {
                counted.set(counted.get() + 1);
            }
        });
        for _ in 0..100_000 {
            receive.recv().await.unwrap();
        }
        assert!(turns.get() >= 100, "tokio's budget is kept: {}", turns.get());
        other.cancel();
        other.await.unwrap();
    });
}

#[test]
fn tokio_spawn_runs_send_futures_and_a_task_of_theirs_may_await_ours() {
    aioxide::run(async {
        let theirs = tokio::spawn(async {
            tokio::task::yield_now().await;
            3
        });
        assert_eq!(theirs.await.unwrap(), 3);
        let ours = create_task(async { sleep(Duration::from_millis(1)).await.map(|()| 4) });
        let theirs = tokio::task::spawn_local(ours);
        assert_eq!(theirs.await.unwrap().unwrap(), Ok(4));
        // Their tasks may use what is ours, too, though no cancellation reaches them.
        let theirs = tokio::task::spawn_local(async { sleep(Duration::from_millis(1)).await });
        assert_eq!(theirs.await.unwrap(), Ok(()));
        assert!(aioxide::all_tasks().is_empty());
    });
}

#[test]
fn tokio_process_and_signal_work() {
    aioxide::run(async {
        let output = tokio::process::Command::new("echo")
            .arg("from a child")
            .output()
            .await
            .unwrap();
        assert_eq!(output.stdout, b"from a child\n");
        let kind = tokio::signal::unix::SignalKind::user_defined2();
        let mut signals = tokio::signal::unix::signal(kind).unwrap();
        let raised = tokio::process::Command::new("kill")
            .arg("-USR2")
            .arg(std::process::id().to_string())
            .status();
        assert!(raised.await.unwrap().success());
        assert_eq!(
            wait_for(signals.recv(), Duration::from_secs(20)).await.unwrap(),
            Some(())
        );
    });
}

#[test]
fn a_cancelled_task_closes_the_socket_that_it_waits_for() {
    aioxide::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let reader = create_task(async move { server.read_u8().await });
        sleep(Duration::from_millis(1)).await.unwrap();
        reader.cancel();
        assert!(reader.await.unwrap_err().is_cancelled());
        let mut rest = Vec::new();
        let end = wait_for(client.read_to_end(&mut rest), Duration::from_secs(20));
        assert_eq!(end.await.unwrap().unwrap(), 0, "the other side sees the end");
    });
}

#[test]
fn runs_in_many_threads_do_not_know_of_each_other() {
    let threads = (0..4).map(|number: u64| {
        std::thread::spawn(move || {
            aioxide::run(async move {
                for _ in 0..50 {
                    tokio::time::sleep(Duration::from_micros(100)).await;
                    sleep(Duration::from_micros(100)).await.unwrap();
                }
                number
            })
        })
    });
    let threads: Vec<_> = threads.collect();
    let numbers = threads.into_iter().map(|thread| thread.join().unwrap());
    assert_eq!(numbers.sum::<u64>(), 6);
}

#[test]
fn tokio_serves_a_loop_in_virtual_time() {
    aioxide::testing::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = create_task(async move {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"hello").await
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = [0; 5];
        let answered = wait_for(stream.read_exact(&mut answer), Duration::from_secs(24 * 3600));
        answered.await.expect("it comes before the clock jumps").unwrap();
        assert_eq!(&answer, b"hello");
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_loop_that_has_left_tokio_sleeps_soundly() {
    aioxide::run(async {
        let probe = aioxide::get_running_loop().probe();
        // The loop's own timer is set for a sleep in tokio, and expires there.
        let pending = wait_for(tokio::time::sleep(Duration::from_secs(60)), Duration::from_millis(2));
        assert!(pending.await.is_err());
        let polls = probe.polls();
        sleep(Duration::from_millis(30)).await.unwrap();
        assert!(probe.polls() - polls < 10, "{} polls", probe.polls() - polls);
    });
}
