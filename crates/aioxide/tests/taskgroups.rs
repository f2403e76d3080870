//! `TaskGroup`.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aioxide::testing::run;
use aioxide::{Cancelled, TaskError, TaskGroup, TaskGroupError, create_task, sleep};

const HOUR: Duration = Duration::from_secs(3600);

/// An error of a program: it keeps cancellations inside.
#[derive(Debug, PartialEq)]
enum Error {
    Failed(&'static str),
    Cancelled(Cancelled),
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Error {
        Error::Cancelled(cancelled)
    }
}

fn failures<T: std::fmt::Debug>(result: Result<T, TaskGroupError<Error>>) -> Vec<Error> {
    match result {
        Err(TaskGroupError::Failed(group)) => group.into_exceptions(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn children_borrow_and_the_block_waits_for_them() {
    run(async {
        let names = ["a".to_owned(), "b".to_owned()];
        let seen = RefCell::new(Vec::new());
        let result = TaskGroup::<Error>::scope(async |group| {
            for name in &names {
                let seen = &seen;
                group.create_task(async move {
                    sleep(Duration::from_secs(1)).await?;
                    seen.borrow_mut().push(name.as_str());
                    Ok(())
                });
            }
            assert_eq!(group.len(), 2);
            Ok(names.len())
        });
        assert_eq!(result.await.unwrap(), 2);
        assert_eq!(*seen.borrow(), ["a", "b"]);
    });
}

#[test]
fn the_first_failure_cancels_the_rest_and_every_error_comes_back() {
    run(async {
        let ends = RefCell::new(Vec::new());
        let ends = &ends;
        let work = |name: &'static str, seconds: u64, error: Option<&'static str>| async move {
            let slept = sleep(Duration::from_secs(seconds)).await;
            ends.borrow_mut().push((name, slept.is_err()));
            match error {
                Some(error) => Err(Error::Failed(error)),
                None => Ok(slept?),
            }
        };
        let result = TaskGroup::scope(async |group| {
            group.create_task(work("in time", 1, None));
            group.create_task(work("bad value", 3, Some("not a number")));
            group.create_task(work("endless", 3600, None));
            group.create_task(work("bad clean-up", 3600, Some("the file is gone")));
            Ok(())
        });
        let errors = failures(result.await);
        assert_eq!(
            errors,
            [Error::Failed("not a number"), Error::Failed("the file is gone")]
        );
        let ends = ends.borrow();
        let expected = [
            ("in time", false),
            ("bad value", false),
            ("endless", true),
            ("bad clean-up", true),
        ];
        assert_eq!(*ends, expected);
    });
}

#[test]
fn a_failing_child_cancels_the_body_and_a_failing_body_the_children() {
    run(async {
        let result = TaskGroup::scope(async |group| {
            group.create_task(async { Err::<(), _>(Error::Failed("child")) });
            let slept = sleep(HOUR).await;
            assert!(slept.is_err());
            Ok(slept?)
        });
        assert_eq!(failures(result.await), [Error::Failed("child")]);

        let cancelled = Cell::new(false);
        let result = TaskGroup::scope(async |group| {
            group.create_task(async {
                let slept = sleep(HOUR).await;
                cancelled.set(slept.is_err());
                Ok(slept?)
            });
            sleep(Duration::ZERO).await?;
            Err::<(), _>(Error::Failed("body"))
        });
        assert_eq!(failures(result.await), [Error::Failed("body")]);
        assert!(cancelled.get());
    });
}

#[test]
fn a_body_that_waits_in_a_foreign_future_is_dropped_when_a_child_fails() {
    run(async {
        let result = TaskGroup::scope(async |group| {
            group.create_task(async { Err::<(), _>(Error::Failed("child")) });
            std::future::pending::<Result<(), Error>>().await
        });
        assert_eq!(failures(result.await), [Error::Failed("child")]);
    });
}

#[test]
fn a_child_that_was_cancelled_is_no_error() {
    run(async {
        let result = TaskGroup::<Error>::scope(async |group| {
            let child = group.create_task(async { Ok(sleep(HOUR).await?) });
            sleep(Duration::ZERO).await?;
            child.cancel();
            assert!(matches!(child.await, Err(TaskError::Cancelled(_))));
            Ok(5)
        });
        assert_eq!(result.await.unwrap(), 5);
    });
}

#[test]
fn cancelling_the_task_cancels_the_group_and_waits_for_it() {
    run(async {
        let cleaned = Rc::new(Cell::new(0));
        let count = Rc::clone(&cleaned);
        let task = create_task(async move {
            TaskGroup::<Error>::scope(async |group| {
                for _ in 0..3 {
                    group.create_task(async {
                        let slept = sleep(HOUR).await;
                        sleep(Duration::from_secs(1)).await?;
                        count.set(count.get() + 1);
                        Ok(slept?)
                    });
                }
                Ok(())
            })
            .await
        });
        sleep(Duration::from_secs(1)).await.unwrap();
        task.cancel_with("enough");
        task.join().await.unwrap();
        match task.result() {
            Some(Err(TaskGroupError::Cancelled(cancelled))) => assert_eq!(cancelled.message(), Some("enough")),
            other => panic!("{other:?}"),
        }
        assert_eq!(cleaned.get(), 3);
        assert!(task.cancelled());
    });
}

#[test]
fn the_panic_of_a_child_comes_back_and_cancels_the_rest() {
    run(async {
        let result = TaskGroup::<Error>::scope(async |group| {
            group.create_task(async { if true { panic!("oh") } else { Ok(()) } });
            group.create_task(async { Ok(sleep(HOUR).await?) });
            Ok(())
        });
        match result.await {
            Err(TaskGroupError::Failed(group)) => {
                assert_eq!(group.panics()[0].message(), "oh");
                assert!(group.exceptions().is_empty());
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn children_make_children() {
    run(async {
        let count = Cell::new(0);
        let count = &count;
        fn grow<'a>(group: TaskGroup<'a, Error>, count: &'a Cell<u32>, depth: u32) {
            let inner = group.clone();
            group.create_task(async move {
                count.set(count.get() + 1);
                if depth > 0 {
                    sleep(Duration::ZERO).await?;
                    grow(inner.clone(), count, depth - 1);
                    grow(inner, count, depth - 1);
                }
                Ok(())
            });
        }
        TaskGroup::scope(async |group| {
            grow(group, count, 4);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(count.get(), 31);
    });
}

#[test]
fn a_dropped_scope_drops_its_children_first() {
    struct Note<'a>(&'a RefCell<Vec<&'static str>>, &'static str);
    impl Drop for Note<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }
    run(async {
        let order = RefCell::new(Vec::new());
        {
            let scope = TaskGroup::<Error>::scope(async |group| {
                let note = Note(&order, "body");
                group.create_task(async {
                    let note = Note(&order, "child");
                    sleep(HOUR).await?;
                    drop(note);
                    Ok(())
                });
                sleep(HOUR).await?;
                drop(note);
                Ok(())
            });
            let mut scope = pin!(scope);
            let mut context = Context::from_waker(Waker::noop());
            assert!(scope.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(*order.borrow(), ["child", "body"]);
    });
}

#[test]
fn a_leaked_scope_never_runs_its_children_again() {
    run(async {
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let mut scope = Box::pin(TaskGroup::<Error>::scope(async move |group| {
            let counted = Rc::clone(&counted);
            group.create_task(std::future::poll_fn(move |context| {
                counted.set(counted.get() + 1);
                context.waker().wake_by_ref();
                Poll::<Result<(), Error>>::Pending
            }));
            Ok(())
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(scope.as_mut().poll(&mut context).is_pending());
        std::mem::forget(scope);
        let before = polls.get();
        sleep(Duration::from_secs(1)).await.unwrap();
        assert_eq!(polls.get(), before);
    });
}

#[test]
fn a_group_that_was_smuggled_out_takes_no_task_any_more() {
    run(async {
        let mut outside = None;
        TaskGroup::<Error>::scope(async |group| {
            outside = Some(group);
            Ok(())
        })
        .await
        .unwrap();
        let task = outside.unwrap().create_task(async { Ok(1) });
        assert!(matches!(task.await, Err(TaskError::Cancelled(_))));
    });
}

#[test]
fn groups_nest() {
    run(async {
        let result = TaskGroup::scope(async |outer| {
            outer.create_task(async {
                let inner = TaskGroup::scope(async |inner| {
                    inner.create_task(async { Ok::<_, Error>(sleep(HOUR).await?) });
                    Ok(())
                });
                match inner.await {
                    Err(TaskGroupError::Cancelled(cancelled)) => Err::<(), _>(Error::Cancelled(cancelled)),
                    other => panic!("{other:?}"),
                }
            });
            sleep(Duration::from_secs(1)).await?;
            Err::<(), _>(Error::Failed("outer"))
        });
        assert_eq!(failures(result.await), [Error::Failed("outer")]);
    });
}

#[test]
fn children_that_fail_in_the_same_turn_are_all_heard() {
    run(async {
        let ran = Cell::new(0);
        let failed = TaskGroup::<TaskError>::scope(async |group| {
            for _ in 0..3 {
                group.create_task(async {
                    ran.set(ran.get() + 1);
                    sleep(Duration::ZERO).await.map_err(TaskError::from)?;
                    Err::<(), _>(TaskError::Taken)
                });
            }
            Ok(())
        });
        match failed.await {
            Err(TaskGroupError::Failed(group)) => assert_eq!(group.exceptions().len(), 3),
            other => panic!("{other:?}"),
        }
        assert_eq!(ran.get(), 3);
    });
}
