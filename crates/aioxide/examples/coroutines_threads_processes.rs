//! Coroutines, threads, processes: what one costs.
//!
//! All three let many things wait at once. This measures how long making one takes, how much memory it keeps while it
//! waits, and what a switch to another and back costs.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use aioxide::{Cancelled, Event, TaskError, create_task, run, sleep};

const TASKS: usize = 1_000_000;
const THREADS: usize = 400;
const PROCESSES: usize = 20;
const SWITCHES: usize = 5_000;

/// KiB that are this process's alone.
fn private_memory() -> io::Result<usize> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    Ok(private
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok())
        .sum())
}

fn line(kind: &str, count: usize, make: Duration, kib: usize, switch: Duration) {
    let each = |total: f64| total / count as f64;
    println!(
        "{kind:12}{count:>10}{:>12.2} µs{:>12.2} KiB{:>12.2} µs",
        each(make.as_secs_f64() * 1e6),
        each(kib as f64),
        switch.as_secs_f64() * 1e6 / SWITCHES as f64,
    );
}

async fn tasks() -> Result<(), TaskError> {
    let (before, started) = (private_memory().unwrap_or(0), Instant::now());
    let gate = Rc::new(Event::new());
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let gate = Rc::clone(&gate);
            create_task(async move { gate.wait().await })
        })
        .collect();
    sleep(Duration::ZERO).await?; // All of them start, and wait.
    let (make, memory) = (started.elapsed(), private_memory().unwrap_or(0).saturating_sub(before));
    gate.set();
    for task in tasks {
        task.await??;
    }
    let turns = || {
        create_task(async {
            for _ in 0..SWITCHES {
                sleep(Duration::ZERO).await?;
            }
            Ok::<_, Cancelled>(())
        })
    };
    let started = Instant::now();
    let (first, second) = (turns(), turns());
    first.await??;
    second.await??;
    line("tasks", TASKS, make, memory, started.elapsed());
    Ok(())
}

fn threads() -> io::Result<()> {
    let (before, started) = (private_memory()?, Instant::now());
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (to, theirs) = channel::<()>();
            let (answer, from) = channel();
            let worker = thread::spawn(move || theirs.iter().all(|()| answer.send(()).is_ok()));
            (to, from, worker)
        })
        .collect();
    for (to, from, _) in &workers {
        to.send(()).map_err(io::Error::other)?;
        from.recv().map_err(io::Error::other)?;
    }
    let (make, memory) = (started.elapsed(), private_memory()?.saturating_sub(before));
    let started = Instant::now();
    for _ in 0..SWITCHES {
        workers[0].0.send(()).map_err(io::Error::other)?;
        workers[0].1.recv().map_err(io::Error::other)?;
    }
    line("threads", THREADS, make, memory, started.elapsed());
    Ok(())
}

fn processes() -> io::Result<()> {
    let started = Instant::now();
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        children.push(
            Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?,
        );
    }
    let make = started.elapsed();
    let first = &mut children[0];
    let mut to = first.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut from = BufReader::new(first.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
    let mut answer = String::new();
    let started = Instant::now();
    for _ in 0..SWITCHES {
        to.write_all(b"?\n")?;
        from.read_line(&mut answer)?;
    }
    let switch = started.elapsed();
    let memory = |id| std::fs::read_to_string(format!("/proc/{id}/smaps_rollup"));
    let rollup = memory(first.id()).unwrap_or_default();
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kib: usize = private
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok())
        .sum();
    drop(to);
    for mut child in children {
        drop(child.stdin.take());
        child.wait()?;
    }
    line("processes", PROCESSES, make, kib * PROCESSES, switch);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "{:12}{:>10}{:>15}{:>16}{:>15}",
        "", "how many", "make one", "memory each", "there and back"
    );
    run(tasks())?;
    threads()?;
    processes()?;
    Ok(())
}
