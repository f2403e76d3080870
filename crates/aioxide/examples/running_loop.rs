//! The running loop, and callbacks on its clock.
//!
//! The loop itself knows callbacks only: as soon as possible, in so many seconds, or at a time of its own clock.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use aioxide::{Cancelled, Event, get_running_loop, run};

fn main() -> Result<(), Cancelled> {
    run(async {
        let running = get_running_loop();
        let happened = Rc::new(RefCell::new(Vec::new()));
        let note = |what: &'static str| {
            let happened = Rc::clone(&happened);
            move || happened.borrow_mut().push(what)
        };
        let finished = Rc::new(Event::new());
        let set = Rc::clone(&finished);
        let now = running.time();
        running.call_at(now.saturating_add(Duration::from_millis(400)), move || set.set());
        running.call_at(now.saturating_add(Duration::from_millis(200)), note("call_at"));
        running.call_later(Duration::from_millis(100), note("call_later"));
        running.call_soon(note("call_soon"));
        running.call_later(Duration::from_millis(300), note("never")).cancel();
        note("main goes on first")();
        finished.wait().await?;
        println!("{}", happened.borrow().join(" -> "));
        assert_eq!(
            *happened.borrow(),
            ["main goes on first", "call_soon", "call_later", "call_at"]
        );
        Ok(())
    })
}
