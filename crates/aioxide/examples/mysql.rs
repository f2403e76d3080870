//! MySQL: a pool of connections, with `mysql_async`.
//!
//! A connection serves one query at a time; a pool lends each task its own, so that queries wait for the database
//! together instead of for each other. `AIOXIDE_MYSQL_HOST` (with `_PORT`, `_USER`, `_PASSWORD`, `_DB`) names the
//! server; without it the lesson is skipped.

use std::env;
use std::time::{Duration, Instant};

use aioxide::{TaskError, gather, run};
use mysql_async::prelude::Queryable;
use mysql_async::{Error, OptsBuilder, Pool};

#[derive(Debug)]
enum Failed {
    Database,
    Task,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        println!("the database complained: {error}");
        Failed::Database
    }
}

impl From<TaskError> for Failed {
    fn from(_: TaskError) -> Self {
        Failed::Task
    }
}

async fn nap(pool: Pool) -> Result<(), Failed> {
    Ok(pool.get_conn().await?.query_drop("SELECT SLEEP(0.3)").await?)
}

async fn lesson(pool: &Pool, table: &str) -> Result<(), Failed> {
    let mut connection = pool.get_conn().await?;
    connection
        .query_drop(format!(
            "CREATE TABLE {table} (name VARCHAR(40) PRIMARY KEY, height INT)"
        ))
        .await?;
    let mountains = [("Großglockner", 3798), ("富士山", 3776), ("Etna", 3357)];
    connection
        .exec_batch(format!("INSERT INTO {table} VALUES (?, ?)"), mountains)
        .await?;
    let high: Vec<(String, u32)> = connection
        .exec(
            format!("SELECT name, height FROM {table} WHERE height > ? ORDER BY height DESC"),
            (3500,),
        )
        .await?;
    println!("higher than 3500 m: {high:?}");
    assert_eq!(high, [("Großglockner".into(), 3798), ("富士山".into(), 3776)]);

    let started = Instant::now();
    gather((0..10).map(|_| nap(pool.clone()))).await?;
    println!("10 queries of 0.3 s each: {:.2} s", started.elapsed().as_secs_f64());
    assert!(started.elapsed() < Duration::from_millis(2500));
    Ok(())
}

fn main() -> Result<(), Failed> {
    let Ok(host) = env::var("AIOXIDE_MYSQL_HOST") else {
        println!("skipped: AIOXIDE_MYSQL_HOST names no server");
        return Ok(());
    };
    let port = env::var("AIOXIDE_MYSQL_PORT").ok().and_then(|port| port.parse().ok());
    let options = OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port.unwrap_or(3306))
        .user(env::var("AIOXIDE_MYSQL_USER").ok())
        .pass(env::var("AIOXIDE_MYSQL_PASSWORD").ok())
        .db_name(env::var("AIOXIDE_MYSQL_DB").ok());
    run(async {
        let pool = Pool::new(options);
        let table = format!("aioxide_lesson_{}", std::process::id());
        let result = lesson(&pool, &table).await;
        pool.get_conn()
            .await?
            .query_drop(format!("DROP TABLE IF EXISTS {table}"))
            .await?;
        pool.disconnect().await?;
        result
    })
}
