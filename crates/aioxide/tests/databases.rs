//! sqlx inside of `aioxide::run`, against the server that `AIOXIDE_MYSQL_HOST` (`_PORT`, `_USER`, `_PASSWORD`, `_DB`)
//! names; `make test` starts one. Without it there is nothing to talk to, and the test says so.

use std::env;
use std::time::{Duration, Instant};

use aioxide::{create_task, gather_all, run, sleep, wait_for};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{MySqlPool, Row};

fn options() -> Option<MySqlConnectOptions> {
    let host = env::var("AIOXIDE_MYSQL_HOST").ok()?;
    let mut options = MySqlConnectOptions::new().host(&host);
    if let Ok(port) = env::var("AIOXIDE_MYSQL_PORT") {
        options = options.port(port.parse().expect("a number"));
    }
    if let Ok(user) = env::var("AIOXIDE_MYSQL_USER") {
        options = options.username(&user);
    }
    if let Ok(password) = env::var("AIOXIDE_MYSQL_PASSWORD") {
        options = options.password(&password);
    }
    if let Ok(database) = env::var("AIOXIDE_MYSQL_DB") {
        options = options.database(&database);
    }
    Some(options)
}

fn with_pool(test: impl AsyncFnOnce(MySqlPool)) {
    let Some(options) = options() else {
        println!("skipped: AIOXIDE_MYSQL_HOST names no server");
        return;
    };
    run(async {
        let pool = MySqlPoolOptions::new()
            .max_connections(5)
            .connect_with(options)
            .await
            .expect("the server that is named answers");
        test(pool.clone()).await;
        pool.close().await;
    });
}

#[test]
fn sqlx_asks_and_binds() {
    with_pool(async |pool| {
        let row = sqlx::query("SELECT ? + 1, ?")
            .bind(41_i64)
            .bind("富士山")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(row.get::<i64, _>(0), 42);
        assert_eq!(row.get::<String, _>(1), "富士山");
    });
}

#[test]
fn queries_wait_together() {
    with_pool(async |pool| {
        let started = Instant::now();
        let naps = (0..10).map(|_| {
            let pool = pool.clone();
            async move { sqlx::query("SELECT SLEEP(0.2)").execute(&pool).await.map(drop) }
        });
        for ended in gather_all(naps).await.unwrap() {
            ended.unwrap().unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_transaction_that_is_cancelled_is_rolled_back() {
    with_pool(async |pool| {
        let table = format!("aioxide_cancelled_{}", std::process::id());
        sqlx::query(&format!("CREATE TABLE {table} (n INT) ENGINE=InnoDB"))
            .execute(&pool)
            .await
            .unwrap();
        let (ours, name) = (pool.clone(), table.clone());
        let task = create_task(async move {
            let mut transaction = ours.begin().await.unwrap();
            let insert = format!("INSERT INTO {name} VALUES (1)");
            sqlx::query(&insert).execute(&mut *transaction).await.unwrap();
            sleep(Duration::from_secs(3600)).await.unwrap_err(); // Cancelled here.
            // Dropped without a commit.
        });
        while !task.done() && pool.size() - u32::try_from(pool.num_idle()).unwrap() == 0 {
            sleep(Duration::from_millis(1)).await.unwrap();
        }
        sleep(Duration::from_millis(50)).await.unwrap();
        task.cancel();
        task.await.unwrap();
        let select = format!("SELECT COUNT(*) FROM {table}");
        let count = sqlx::query(&select).fetch_one(&pool);
        let count = wait_for(count, Duration::from_secs(10)).await.unwrap().unwrap();
        assert_eq!(count.get::<i64, _>(0), 0);
        sqlx::query(&format!("DROP TABLE {table}"))
            .execute(&pool)
            .await
            .unwrap();
    });
}
