//! One step of a task, and what follows its last one.
//!
//! ```text
//! schedule ──► ready queue (or that of its group) ──► step ──► Pending: whoever wakes it, schedules it
//!                                                       └────► ended:   tell_end
//! ```
//!
//! Counterpart: `Task.__step` and `Future.__schedule_callbacks`.

#![forbid(unsafe_code)]

use super::raw::{Children, Progress, TaskRef};
use super::state::{Home, Outcome};
use crate::events::{Entry, Loop};
use crate::exceptions::{Panicked, TaskError};
use crate::reports::{Report, ReportKind};
use crate::sys::current::with_current;

impl TaskRef {
    /// Puts the task into the queue of whoever runs it, if it is not there.
    #[inline]
    pub(crate) fn schedule(&self) {
        if !self.enter_queue() {
            return;
        }
        match &self.state().home {
            Home::Loop => with_current(|running| match running {
                Some(running) if self.belongs_to(running) => running.push(Entry::Task(self.clone())),
                _ => self.send(),
            }),
            Home::Children(queue) => queue.push(self.clone()),
        }
    }

    /// As [`TaskRef::schedule`], where the task's loop is known.
    #[inline]
    pub(crate) fn schedule_in(&self, running: &Loop) {
        if !self.enter_queue() {
            return;
        }
        match &self.state().home {
            Home::Loop => running.push(Entry::Task(self.clone())),
            Home::Children(queue) => queue.push(self.clone()),
        }
    }
}

/// Resumes a task that runs by itself, as the next entry of the ready queue.
#[inline]
pub(crate) fn step(running: &Loop, task: &TaskRef) {
    let progress = step_as(running, task, TaskRef::run, TaskRef::abandon);
    if !matches!(progress, Step::Pending) {
        running.forget(task);
        task.drop_unwanted_output();
    }
}

/// Resumes a child that its owner has taken from its queue; returns whether it has ended.
pub(crate) fn step_child(running: &Loop, children: &Children<'_>, child: &TaskRef) -> Step {
    let run = |child: &TaskRef| children.run(child);
    let abandon = |child: &TaskRef, error| children.abandon(child, error);
    let progress = step_as(running, child, run, abandon);
    if !matches!(progress, Step::Pending) {
        children.remove(child);
    }
    progress
}

/// What came of a step.
pub(crate) enum Step {
    Pending,
    /// The task has ended; with this panic, if it panicked.
    Ended(Option<Panicked>),
}

fn step_as(
    running: &Loop,
    task: &TaskRef,
    run: impl FnOnce(&TaskRef) -> Progress,
    abandon: impl FnOnce(&TaskRef, TaskError) -> bool,
) -> Step {
    task.leave_queue();
    if task.is_over() {
        return Step::Pending;
    }
    let step = running.in_task(task, || take_step(running, task, run, abandon));
    if matches!(step, Step::Ended(_)) {
        tell_end(task);
    }
    step
}

fn take_step(
    running: &Loop,
    task: &TaskRef,
    run: impl FnOnce(&TaskRef) -> Progress,
    abandon: impl FnOnce(&TaskRef, TaskError) -> bool,
) -> Step {
    let state = task.state();
    state.cancel.begin_step();
    let progress = if !state.started.replace(true) && state.cancel.is_pending() {
        // Cancelled before its first step: its code never runs.
        Progress::Pending
    } else {
        run(task)
    };
    match progress {
        Progress::Pending => {
            if state.cancel.is_unclaimed() {
                // It waits in a foreign future, which is dropped.
                let cancelled = state.cancel.deliver();
                if abandon(task, TaskError::Cancelled(cancelled)) {
                    state.outcome.set(Outcome::Cancelled);
                }
            }
            if task.is_over() {
                Step::Ended(None)
            } else {
                Step::Pending
            }
        }
        Progress::Returned => {
            note_return(running, task);
            Step::Ended(None)
        }
        Progress::Panicked(panicked) => {
            state.outcome.set(Outcome::Panicked);
            if task.is_detached() && matches!(state.home, Home::Loop) {
                running.report(&Report::new(ReportKind::NeverRetrieved(panicked.clone()), Some(task)));
            }
            Step::Ended(Some(panicked))
        }
    }
}

/// Notes how a task ended that returned.
fn note_return(running: &Loop, task: &TaskRef) {
    let state = task.state();
    let in_flight = state.cancel.was_delivered() && state.cancel.in_flight().is_some();
    if in_flight {
        state.outcome.set(Outcome::Cancelled);
        return;
    }
    state.outcome.set(Outcome::Returned);
    if state.cancel.requests() > 0 && state.cancel.was_delivered() && running.is_strict() {
        running.report(&Report::new(ReportKind::SwallowedCancel, Some(task)));
    }
}

/// Wakes everybody who waits for the end of a task.
pub(crate) fn tell_end(task: &TaskRef) {
    let state = task.state();
    if state.outcome.get() == Outcome::None {
        state.outcome.set(Outcome::Cancelled);
    }
    let listeners = state.take_listeners();
    if let Some(joiner) = listeners.joiner {
        joiner.wake();
    }
    for joiner in listeners.joiners {
        joiner.wake();
    }
    for callback in listeners.callbacks {
        // In the next turns, as asyncio does; at once only where no loop is left to do it.
        with_current(|running| match running {
            Some(running) => drop(running.call_soon(callback)),
            None => callback(),
        });
    }
}
