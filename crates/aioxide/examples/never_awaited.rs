//! A future that nobody awaits never runs.
//!
//! Calling an `async fn` runs none of its lines. In Rust the compiler says so: `#[must_use]`, a warning that is an
//! error in many projects. A task is different: it runs whether or not somebody waits.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use aioxide::{Cancelled, create_task, run, sleep};

type Saved = Rc<RefCell<Vec<&'static str>>>;

async fn save(what: &'static str, saved: Saved) {
    saved.borrow_mut().push(what);
}

fn main() -> Result<(), Cancelled> {
    let saved = Saved::default();
    run(async {
        drop(save("forgotten", Rc::clone(&saved))); // Without `drop` the compiler warns.
        assert!(saved.borrow().is_empty());
        save("awaited", Rc::clone(&saved)).await;
        drop(create_task(save("made a task", Rc::clone(&saved))));
        sleep(Duration::ZERO).await?;
        println!("what was saved: {}", saved.borrow().join(", "));
        assert_eq!(*saved.borrow(), ["awaited", "made a task"]);
        Ok(())
    })
}
