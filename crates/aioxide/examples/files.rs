//! Files without stopping the loop.
//!
//! A disk never says "try again later": reading a file blocks. `tokio::fs` hands every call to a thread; the loop stays
//! free while a slow disk takes its time.

use std::io;
use std::path::{Path, PathBuf};

use aioxide::{gather, run};
use tokio::fs;

const LINES: usize = 1000;

async fn write(path: PathBuf, name: &'static str) -> io::Result<()> {
    let text: String = (0..LINES).map(|number| format!("{name} {number}\n")).collect();
    fs::write(path, text).await
}

async fn count_lines(path: PathBuf) -> io::Result<usize> {
    Ok(fs::read_to_string(path).await?.lines().count())
}

async fn lesson(folder: &Path) -> io::Result<()> {
    let names = ["spring", "summer", "autumn", "winter"];
    let path = |name: &str| folder.join(name).with_extension("txt");
    gather(names.map(|name| write(path(name), name))).await?;
    let counts = gather(names.map(|name| count_lines(path(name)))).await?;
    println!("lines: {counts:?}");
    assert_eq!(counts, [LINES; 4]);

    fs::remove_file(path("winter")).await?;
    let gone = fs::metadata(path("winter")).await;
    println!("errors arrive as usual: {:?}", gone.as_ref().map_err(io::Error::kind));
    assert!(gone.is_err());
    Ok(())
}

fn main() -> io::Result<()> {
    let folder = std::env::temp_dir().join(format!("aioxide-files-{}", std::process::id()));
    run(async {
        fs::create_dir_all(&folder).await?;
        let result = lesson(&folder).await;
        fs::remove_dir_all(&folder).await?;
        result
    })
}
