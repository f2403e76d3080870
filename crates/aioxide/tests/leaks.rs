//! Opening and closing engines leaves nothing behind.
//!
//! In a file of its own, and so in a process of its own: it counts the process's descriptors.

use aioxide::{Deadline, Engine, Interest};

#[test]
fn a_closed_engine_leaves_no_descriptor() {
    let before = open_descriptors();
    for round in 0..1_000_u64 {
        let mut engine: Engine<u64> = Engine::new().expect("an engine");
        engine.push(round);
        engine.timers.insert(Deadline::from_nanos(round), round);
        engine.inbox().push(round).expect("a wake-up");
        let other: Engine<u64> = Engine::new().expect("an engine");
        let fd = other.poller().as_raw_fd();
        engine.poller().add(fd, Interest::READABLE).expect("pollers nest");
    }
    assert_eq!(open_descriptors(), before);
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux has /proc").count()
}
