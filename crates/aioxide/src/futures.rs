//! `Future`: the place where a callback leaves a result.
//!
//! States: `Pending → Done`, or `Pending → Cancelled`. Callbacks and awaiters are told once, at the change.
//!
//! Counterpart: `Lib/asyncio/futures.py`.
//! Differs from asyncio: there is no `set_exception`: the result of a `Future<Result<T, E>>` may be an
//! error. The unqualified name is asyncio's; Rust's trait is `std::future::Future`.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::cancellation::Checkpoint;
use crate::exceptions::{Cancelled, Delivery, InvalidStateError};
use crate::sys::current::with_current;
use crate::tasks::{LocalWaker, push_waker};

/// A result that comes later. Copies of it are the same future: one waits, another sets the result.
///
/// # Cancellation
/// Who is cancelled while he awaits a future cancels the future, as in asyncio.
///
/// # Examples
/// ```
/// use aioxide::{Future, get_running_loop, run};
/// use std::time::Duration;
///
/// run(async {
///     let future = Future::new();
///     let sensor = future.clone();
///     get_running_loop().call_later(Duration::from_millis(1), move || sensor.set_result("21.5 °C").unwrap());
///     assert_eq!(future.clone().await, Ok("21.5 °C"));
///     assert!(future.set_result("22 °C").is_err());
/// });
/// ```
pub struct Future<T> {
    state: Rc<RefCell<State<T>>>,
}

impl<T> Future<T> {
    /// Makes a future that is pending.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Future;
    ///
    /// let answer: Future<u32> = Future::new();
    /// assert!(!answer.done());
    /// ```
    pub fn new() -> Future<T> {
        Future {
            state: Rc::new(RefCell::new(State::Pending(Listeners {
                waiting: Vec::new(),
                callbacks: Vec::new(),
            }))),
        }
    }

    /// Sets the result, and tells everybody who waits.
    ///
    /// # Errors
    /// When the future is done or cancelled; the result is dropped then.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Future, InvalidStateError, run};
    ///
    /// run(async {
    ///     let future = Future::new();
    ///     future.set_result(1).unwrap();
    ///     assert_eq!(future.set_result(2), Err(InvalidStateError));
    ///     assert_eq!(future.await, Ok(1));
    /// });
    /// ```
    pub fn set_result(&self, result: T) -> Result<(), InvalidStateError> {
        self.finish(State::Done(result))
    }

    /// Cancels the future, and tells everybody who waits. Returns `false` when it is done or cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Future;
    ///
    /// let future: Future<u32> = Future::new();
    /// assert!(future.cancel());
    /// assert!(future.set_result(1).is_err());
    /// assert!(!future.cancel()); // Too late.
    /// ```
    pub fn cancel(&self) -> bool {
        self.cancel_with_delivery(Delivery::new(None))
    }

    /// As [`Future::cancel`], with a message that the error carries.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Future, run};
    ///
    /// run(async {
    ///     let reply: Future<u32> = Future::new();
    ///     reply.cancel_with("connection lost");
    ///     assert_eq!(reply.await.unwrap_err().message(), Some("connection lost"));
    /// });
    /// ```
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.cancel_with_delivery(Delivery::new(Some(Arc::from(message.into()))))
    }

    /// Returns whether it is done or cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Future;
    ///
    /// let (kept, given_up) = (Future::new(), Future::<u32>::new());
    /// assert!(!kept.done());
    /// kept.set_result(1).unwrap();
    /// given_up.cancel();
    /// assert!(kept.done() && given_up.done());
    /// ```
    pub fn done(&self) -> bool {
        !matches!(&*self.state.borrow(), State::Pending(_))
    }

    /// Returns whether it is cancelled.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Future;
    ///
    /// let (kept, given_up) = (Future::new(), Future::<u32>::new());
    /// kept.set_result(1).unwrap();
    /// given_up.cancel();
    /// assert!(!kept.cancelled() && given_up.cancelled());
    /// ```
    pub fn cancelled(&self) -> bool {
        matches!(&*self.state.borrow(), State::Cancelled(_))
    }

    /// Calls `callback` in a turn after the future is done or cancelled; at once when no loop runs then.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Future, run, sleep};
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// run(async {
    ///     let (future, seen) = (Future::new(), Rc::new(Cell::new(0)));
    ///     let see = Rc::clone(&seen);
    ///     future.add_done_callback(move |future| see.set(future.result().unwrap().unwrap()));
    ///     future.set_result(7).unwrap();
    ///     assert_eq!(seen.get(), 0); // Not in this turn.
    ///     sleep(Duration::ZERO).await.unwrap();
    ///     assert_eq!(seen.get(), 7);
    /// });
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&Future<T>) + 'static)
    where
        T: 'static,
    {
        let future = self.clone();
        let callback: Box<dyn FnOnce()> = Box::new(move || callback(&future));
        if let State::Pending(listeners) = &mut *self.state.borrow_mut() {
            listeners.callbacks.push(callback);
            return;
        }
        call_back(callback);
    }

    fn cancel_with_delivery(&self, delivery: Arc<Delivery>) -> bool {
        self.finish(State::Cancelled(delivery)).is_ok()
    }

    fn finish(&self, state: State<T>) -> Result<(), InvalidStateError> {
        if self.done() {
            return Err(InvalidStateError);
        }
        let State::Pending(listeners) = self.state.replace(state) else {
            return Err(InvalidStateError);
        };
        for waker in listeners.waiting {
            waker.wake();
        }
        listeners.callbacks.into_iter().for_each(call_back);
        Ok(())
    }
}

impl<T: Clone> Future<T> {
    /// Returns the result, or the cancellation; `None` while the future is pending.
    ///
    /// # Examples
    /// ```
    /// use aioxide::Future;
    ///
    /// let future = Future::new();
    /// assert_eq!(future.result(), None);
    /// future.set_result("tea is ready").unwrap();
    /// assert_eq!(future.result(), Some(Ok("tea is ready")));
    /// ```
    pub fn result(&self) -> Option<Result<T, Cancelled>> {
        match &*self.state.borrow() {
            State::Pending(_) => None,
            State::Done(result) => Some(Ok(result.clone())),
            State::Cancelled(delivery) => Some(Err(Cancelled::of(Arc::clone(delivery)))),
        }
    }

    async fn wait(self) -> Result<T, Cancelled> {
        let mut checkpoint = Checkpoint::new();
        poll_fn(|context| self.poll_result(&mut checkpoint, context)).await
    }

    fn poll_result(&self, checkpoint: &mut Checkpoint, context: &Context<'_>) -> Poll<Result<T, Cancelled>> {
        if let Some(result) = self.result() {
            if let Some(cancelled) = checkpoint.cancelled() {
                return Poll::Ready(Err(cancelled));
            }
            checkpoint.leave();
            return Poll::Ready(result.inspect_err(adopt));
        }
        if let Some(message) = checkpoint.request() {
            self.cancel_with_delivery(Delivery::new(message));
            return self.poll_result(&mut Checkpoint::new(), context);
        }
        let stale = self.wait_for_end(context);
        drop(stale);
        if let Some(message) = checkpoint.suspend_or_request(context) {
            self.cancel_with_delivery(Delivery::new(message));
            return self.poll_result(&mut Checkpoint::new(), context);
        }
        Poll::Pending
    }
}

impl<T> Future<T> {
    /// Sees to it that who polls is woken at the end. Returns what is to be released.
    fn wait_for_end(&self, context: &Context<'_>) -> Vec<LocalWaker> {
        match &mut *self.state.borrow_mut() {
            State::Pending(Listeners { waiting, .. })
                if !waiting.iter().any(|known| known.will_wake(context.waker())) =>
            {
                push_waker(waiting, LocalWaker::new(context.waker()))
            }
            _ => Vec::new(),
        }
    }
}

impl<T: Clone + 'static> IntoFuture for Future<T> {
    type Output = Result<T, Cancelled>;
    type IntoFuture = Pin<Box<dyn std::future::Future<Output = Self::Output>>>;

    /// Waits for the result and copies it: a future may be awaited as often as you like.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

impl<T> Clone for Future<T> {
    /// Makes another handle of the same future.
    fn clone(&self) -> Future<T> {
        Future {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T> Default for Future<T> {
    fn default() -> Future<T> {
        Future::new()
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.borrow() {
            State::Pending(_) => "pending",
            State::Done(_) => "done",
            State::Cancelled(_) => "cancelled",
        };
        formatter.debug_tuple("Future").field(&state).finish()
    }
}

enum State<T> {
    Pending(Listeners),
    Done(T),
    Cancelled(Arc<Delivery>),
}

struct Listeners {
    waiting: Vec<LocalWaker>,
    callbacks: Vec<Box<dyn FnOnce()>>,
}

fn call_back(callback: Box<dyn FnOnce()>) {
    with_current(|running| match running {
        Some(running) => drop(running.call_soon(callback)),
        None => callback(),
    });
}

/// Counts the cancellation of a future as one of the task that awaits it.
fn adopt(cancelled: &Cancelled) {
    let delivery = Arc::clone(cancelled.delivery());
    with_current(|running| running?.cancel_ref()).inspect(|owner| owner.adopt(delivery));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{create_task, run, sleep};

    #[test]
    fn who_gave_up_waiting_is_forgotten() {
        run(async {
            let never = Future::<()>::new();
            for _ in 0..1000 {
                let future = never.clone();
                let gives_up = create_task(async move {
                    let mut waits = future.into_future();
                    std::future::poll_fn(|context| Poll::Ready(waits.as_mut().poll(context).is_pending())).await
                });
                assert!(gives_up.await.unwrap());
            }
            let State::Pending(listeners) = &*never.state.borrow() else {
                panic!("nobody set a result");
            };
            assert!(listeners.waiting.len() < 16);
        });
    }

    #[test]
    fn who_gave_up_waiting_for_a_task_is_forgotten() {
        static NOTE: crate::ContextVar<Rc<()>> = crate::ContextVar::new("note");
        run(async {
            let lasting = Rc::new(create_task(sleep(Duration::from_secs(3600))));
            let noted = Rc::new(());
            for _ in 0..1000 {
                let lasting = Rc::clone(&lasting);
                let note = Rc::clone(&noted);
                let gives_up = create_task(async move {
                    NOTE.set(note);
                    let mut waits = std::pin::pin!(lasting.join());
                    std::future::poll_fn(|context| Poll::Ready(waits.as_mut().poll(context).is_pending())).await
                });
                assert!(gives_up.await.unwrap());
            }
            assert!(Rc::strong_count(&noted) < 16, "the contexts of tasks that are over");
        });
    }
}
