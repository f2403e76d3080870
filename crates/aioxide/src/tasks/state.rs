//! `TaskState`: what a task is besides its future. Ordinary safe Rust, inside of the task's block.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::children::ChildQueue;
use super::waker::LocalWaker;
use crate::cancellation::CancelState;
use crate::contextvars::Context;

/// The state of a task.
pub(crate) struct TaskState {
    pub(crate) id: u64,
    pub(crate) home: Home,
    /// The task's place in the registry of its home.
    pub(crate) key: Cell<u32>,
    pub(crate) cancel: CancelState,
    /// The task's context, while it is suspended; the loop's own while it runs.
    pub(crate) context: RefCell<Context>,
    pub(crate) started: Cell<bool>,
    pub(crate) outcome: Cell<Outcome>,
    /// Whether its panic was looked at.
    pub(crate) retrieved: Cell<bool>,
    /// Who waits for the end: the first of them.
    joiner: RefCell<Option<LocalWaker>>,
    rare: RefCell<Option<Box<Rare>>>,
}

/// What most tasks never have.
#[derive(Default)]
struct Rare {
    name: Option<Rc<str>>,
    joiners: Vec<LocalWaker>,
    callbacks: Vec<Box<dyn FnOnce()>>,
}

impl TaskState {
    pub(crate) fn new(id: u64, home: Home, name: Option<Rc<str>>, context: Context) -> TaskState {
        let rare = name.map(|name| {
            Box::new(Rare {
                name: Some(name),
                ..Rare::default()
            })
        });
        TaskState {
            id,
            home,
            key: Cell::new(u32::MAX),
            cancel: CancelState::default(),
            context: RefCell::new(context),
            started: Cell::new(false),
            outcome: Cell::new(Outcome::None),
            retrieved: Cell::new(false),
            joiner: RefCell::new(None),
            rare: RefCell::new(rare),
        }
    }

    pub(crate) fn name(&self) -> Rc<str> {
        let rare = self.rare.borrow();
        let named = rare.as_ref().and_then(|rare| rare.name.clone());
        named.unwrap_or_else(|| Rc::from(format!("Task-{}", self.id)))
    }

    pub(crate) fn set_name(&self, name: Rc<str>) {
        self.rare.borrow_mut().get_or_insert_default().name = Some(name);
    }

    /// Sees to it that `waker` is woken when the task ends.
    pub(crate) fn join(&self, waker: &std::task::Waker) {
        let mut first = self.joiner.borrow_mut();
        match &*first {
            None => *first = Some(LocalWaker::new(waker)),
            Some(known) if known.will_wake(waker) => {}
            Some(_) => {
                drop(first);
                self.join_too(waker);
            }
        }
    }

    fn join_too(&self, waker: &std::task::Waker) {
        let mut rare = self.rare.borrow_mut();
        let joiners = &mut rare.get_or_insert_default().joiners;
        if !joiners.iter().any(|known| known.will_wake(waker)) {
            let stale = push_waker(joiners, LocalWaker::new(waker));
            drop(rare);
            drop(stale);
        }
    }

    pub(crate) fn add_callback(&self, callback: Box<dyn FnOnce()>) {
        self.rare.borrow_mut().get_or_insert_default().callbacks.push(callback);
    }

    /// Takes out everybody who is to be told of the end.
    pub(crate) fn take_listeners(&self) -> Listeners {
        let joiner = self.joiner.take();
        let (joiners, callbacks) = match self.rare.borrow_mut().as_mut() {
            Some(rare) => (std::mem::take(&mut rare.joiners), std::mem::take(&mut rare.callbacks)),
            None => (Vec::new(), Vec::new()),
        };
        Listeners {
            joiner,
            joiners,
            callbacks,
        }
    }
}

/// Adds a waker to a list, which forgets tasks that have ended before it grows: what lasts long is waited for by
/// many who give up. Returns what it forgot.
#[must_use = "released when nothing is borrowed, for that may run anything"]
pub(crate) fn push_waker(wakers: &mut Vec<LocalWaker>, waker: LocalWaker) -> Vec<LocalWaker> {
    let mut stale = Vec::new();
    if wakers.len() == wakers.capacity() {
        stale.extend(wakers.extract_if(.., |known| known.is_stale()));
        // Room for as many again, so that looking through all of them is seldom.
        wakers.reserve(wakers.len() + 1);
    }
    wakers.push(waker);
    stale
}

/// Who is to be told of a task's end.
pub(crate) struct Listeners {
    pub(crate) joiner: Option<LocalWaker>,
    pub(crate) joiners: Vec<LocalWaker>,
    pub(crate) callbacks: Vec<Box<dyn FnOnce()>>,
}

/// Who runs a task.
pub(crate) enum Home {
    /// The loop, from its ready queue.
    Loop,
    /// The owner of this queue: a task group, or `run` for the main task.
    Children(Rc<ChildQueue>),
}

/// How a task has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It has not.
    None,
    Returned,
    Cancelled,
    Panicked,
}
