//! Errors in a `TaskGroup`: one fails, the others are cancelled.
//!
//! The group cancels the remaining tasks, waits for their end, and returns every error. No task outlives the scope.

use std::cell::RefCell;
use std::time::Duration;

use aioxide::{Cancelled, TaskGroup, TaskGroupError, run, sleep};

#[derive(Debug)]
enum Failed {
    /// Kept: an error is a cancellation as long as it has this in it.
    Cancelled(Cancelled),
    BadValue(&'static str),
    BadCleanUp(&'static str),
}

impl From<Cancelled> for Failed {
    fn from(cancelled: Cancelled) -> Self {
        Failed::Cancelled(cancelled)
    }
}

fn main() {
    let ends = RefCell::new(Vec::new());
    let end = |name: &'static str| ends.borrow_mut().push(name);
    let result: Result<(), _> = run(TaskGroup::scope(async |group| {
        group.create_task(async {
            sleep(Duration::from_millis(100)).await?;
            end("in time: finished");
            Ok(())
        });
        group.create_task(async {
            sleep(Duration::from_millis(300)).await?;
            Err::<(), _>(Failed::BadValue("not a number"))
        });
        group.create_task(async {
            sleep(Duration::from_secs(3600))
                .await
                .inspect_err(|_| end("endless: cancelled"))?;
            Ok(())
        });
        group.create_task(async {
            // An error while cleaning up is not lost: it joins the others.
            sleep(Duration::from_secs(3600))
                .await
                .map_err(|_| Failed::BadCleanUp("the file is gone"))
        });
        Ok(())
    }));
    let Err(TaskGroupError::Failed(ref group)) = result else {
        panic!("the errors were lost: {result:?}");
    };
    for error in group.exceptions() {
        match error {
            Failed::BadValue(what) | Failed::BadCleanUp(what) => println!("error: {what}"),
            Failed::Cancelled(cancelled) => unreachable!("no error of a group: {cancelled}"),
        }
    }
    println!("ends: {:?}", ends.borrow());
    assert_eq!(group.exceptions().len(), 2);
    assert_eq!(*ends.borrow(), ["in time: finished", "endless: cancelled"]);
}
