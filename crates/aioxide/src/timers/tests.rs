//! Timers against a sorted list that does the same slowly.

use std::collections::BTreeMap;

use super::*;

fn at(nanos: u64) -> Deadline {
    Deadline::from_nanos(nanos)
}

/// A deterministic stream of numbers (xorshift), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

impl<H> Timers<H> {
    /// Checks the module's invariants 1 and 2, and the order of the heap.
    fn check(&self) {
        for (place, node) in self.heap.iter().enumerate() {
            let slot = &self.slots[node.slot as usize];
            assert!(slot.handle.is_some());
            assert_eq!(slot.link as usize, place);
            if place > 0 {
                assert!(self.heap[(place - 1) / CHILDREN].before(node));
            }
        }
        let occupied = self.slots.iter().filter(|slot| slot.handle.is_some());
        assert_eq!(occupied.count(), self.heap.len());
        let retired = |slot: &&Slot<H>| slot.handle.is_none() && slot.generation == RETIRED;
        let retired = self.slots.iter().filter(retired).count();
        let mut vacant = 0;
        let mut next = self.vacant;
        while next != NIL {
            let slot = &self.slots[next as usize];
            assert!(slot.handle.is_none() && slot.generation != RETIRED);
            vacant += 1;
            next = slot.link;
        }
        assert_eq!(vacant + retired + self.heap.len(), self.slots.len());
    }
}

#[test]
fn timers_fire_in_order_of_their_deadlines() {
    let mut timers = Timers::new();
    for nanos in [50, 10, 40, 20, 30] {
        timers.insert(at(nanos), nanos);
    }
    assert_eq!(timers.next_deadline(), Some(at(10)));
    assert_eq!(timers.pop_expired(at(9)), None);
    let fired: Vec<_> = std::iter::from_fn(|| timers.pop_expired(at(30))).collect();
    assert_eq!(fired, [10, 20, 30]);
    assert_eq!(timers.len(), 2);
    assert_eq!(timers.next_deadline(), Some(at(40)));
}

#[test]
fn timers_of_one_deadline_fire_in_the_order_they_were_set() {
    let mut timers = Timers::new();
    let keys: Vec<_> = (0..100).map(|rank| timers.insert(at(7), rank)).collect();
    for key in keys.iter().step_by(3) {
        timers.cancel(*key);
    }
    let fired: Vec<_> = std::iter::from_fn(|| timers.pop_expired(at(7))).collect();
    let expected: Vec<_> = (0..100).filter(|rank| rank % 3 != 0).collect();
    assert_eq!(fired, expected);
}

#[test]
fn a_key_names_one_timer_only() {
    let mut timers = Timers::new();
    let first = timers.insert(at(1), "first");
    assert_eq!(timers.deadline(first), Some(at(1)));
    assert_eq!(timers.cancel(first), Some("first"));
    assert_eq!(timers.cancel(first), None);
    let second = timers.insert(at(1), "second");
    assert_ne!(first, second);
    assert_eq!(timers.cancel(first), None);
    assert_eq!(timers.deadline(first), None);
    assert_eq!(timers.pop_expired(at(1)), Some("second"));
    assert_eq!(timers.cancel(second), None);
    assert_eq!(timers.cancel(TimerKey::from_bits(u64::MAX)), None);
}

#[test]
fn a_key_survives_packing() {
    let mut timers = Timers::new();
    for round in 0..3 {
        let keep = timers.insert(at(1), round);
        let key = timers.insert(at(2), round);
        assert_eq!(TimerKey::from_bits(key.to_bits()), key);
        timers.cancel(key);
        assert_ne!(key.to_bits(), keep.to_bits());
    }
}

#[test]
fn never_does_not_fire() {
    let mut timers = Timers::new();
    let key = timers.insert(Deadline::NEVER, ());
    assert_eq!(timers.pop_expired(Deadline::NEVER), None);
    assert_eq!(timers.next_deadline(), Some(Deadline::NEVER));
    assert_eq!(timers.cancel(key), Some(()));
}

#[test]
fn clear_returns_the_handles_earliest_first() {
    let mut timers = Timers::new();
    let keys: Vec<_> = [3, 1, 2].map(|n| timers.insert(at(n), n)).into();
    assert_eq!(timers.clear(), [1, 2, 3]);
    assert!(timers.is_empty());
    assert!(timers.clear().is_empty());
    assert!(keys.iter().all(|key| timers.cancel(*key).is_none()));
    timers.check();
    timers.insert(at(1), 9);
    assert_eq!(timers.clear(), [9]);
}

#[test]
fn iter_sees_every_timer_once() {
    let mut timers = Timers::new();
    for nanos in 0..50 {
        timers.insert(at(nanos % 7), nanos);
    }
    let mut seen: Vec<_> = timers
        .iter()
        .map(|(when, nanos)| {
            assert_eq!(when, at(nanos % 7));
            *nanos
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

#[test]
fn any_mix_of_operations_agrees_with_a_sorted_list() {
    for seed in 1..20 {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut timers = Timers::new();
        let mut model: BTreeMap<(u64, u64), TimerKey> = BTreeMap::new();
        let mut gone = Vec::new();
        let mut now = 0;
        // Growing, then shrinking, so that slots are reused and the slab is cut.
        for step in 0..6_000_u64 {
            let growing = step < 3_000;
            let inserts = if growing { 7 } else { 2 };
            match numbers.below(10) {
                choice if choice < inserts => {
                    let when = now + numbers.below(200);
                    let key = timers.insert(at(when), step);
                    model.insert((when, step), key);
                }
                choice if choice < 9 => {
                    let skip = numbers.below(model.len().max(1) as u64) as usize;
                    if let Some((&(when, id), &key)) = model.iter().nth(skip) {
                        model.remove(&(when, id));
                        assert_eq!(timers.deadline(key), Some(at(when)));
                        assert_eq!(timers.cancel(key), Some(id));
                        gone.push(key);
                    }
                }
                _ => {
                    now += numbers.below(4);
                    // Now and then far ahead, when much of the heap is due.
                    now += if numbers.below(100) == 0 { 150 } else { 0 };
                    timers.take_expired(at(now), |id| {
                        let ((when, expected), key) = model.pop_first().unwrap();
                        assert_eq!(id, expected);
                        assert!(when <= now);
                        gone.push(key);
                    });
                    assert_eq!(timers.pop_expired(at(now)), None);
                }
            }
            assert_eq!(timers.len(), model.len());
            let next = model.first_key_value().map(|((when, _), _)| at(*when));
            assert_eq!(timers.next_deadline(), next);
            if step % 500 == 0 {
                timers.check();
                assert!(gone.iter().all(|key| timers.cancel(*key).is_none()));
            }
        }
        timers.check();
    }
}

#[test]
fn many_that_are_due_at_once_are_taken_in_order_and_the_rest_stays() {
    for due in [1, 17, 100, 500, 999, 1_000] {
        let mut numbers = Numbers(7);
        let mut timers = Timers::new();
        let mut expected: Vec<u64> = (0..1_000).collect();
        let mut shuffled = expected.clone();
        for place in (1..shuffled.len()).rev() {
            shuffled.swap(place, numbers.below(place as u64 + 1) as usize);
        }
        for nanos in shuffled {
            timers.insert(at(nanos), nanos);
        }
        timers.insert(Deadline::NEVER, u64::MAX);
        let mut taken = Vec::new();
        timers.take_expired(at(due - 1), |handle| taken.push(handle));
        timers.check();
        let rest = expected.split_off(due as usize);
        assert_eq!(taken, expected);
        assert_eq!(timers.len(), rest.len() + 1);
        timers.take_expired(at(u64::MAX - 1), |handle| taken.push(handle));
        assert_eq!(taken, (0..1_000).collect::<Vec<_>>());
        timers.check();
    }
}

#[test]
fn cancelling_gives_the_memory_back() {
    const MANY: u64 = 100_000;
    let oldest_first: Vec<u64> = (0..MANY).collect();
    let youngest_first = oldest_first.iter().rev().copied().collect();
    let scattered = (0..MANY).map(|n| n * 77_773 % MANY).collect();
    for order in [oldest_first, youngest_first, scattered] {
        let mut timers = Timers::new();
        let survivor = timers.insert(at(5), 0);
        let keys: Vec<_> = (0..MANY).map(|n| timers.insert(at(n), n)).collect();
        assert!(timers.slots.capacity() > MANY as usize);
        for n in order {
            assert_eq!(timers.cancel(keys[n as usize]), Some(n));
        }
        timers.check();
        assert!(timers.slots.capacity() <= 4 * SMALLEST_SHRUNK);
        assert!(timers.heap.capacity() <= 4 * SMALLEST_SHRUNK);
        assert_eq!(timers.cancel(survivor), Some(0));
    }
}

#[test]
fn set_and_cancel_does_not_grow() {
    let mut timers = Timers::new();
    for n in 0..10_000 {
        let key = timers.insert(at(n), n);
        timers.cancel(key);
    }
    assert_eq!(timers.slots.len(), 1);
}

#[test]
fn old_keys_stay_dead_after_the_slab_was_cut_and_grew_again() {
    let mut timers = Timers::new();
    let mut dead = Vec::new();
    for _ in 0..3 {
        let keys: Vec<_> = (0..1_000).map(|n| timers.insert(at(n), n)).collect();
        assert!(dead.iter().all(|key| timers.deadline(*key).is_none()));
        for key in &keys {
            timers.cancel(*key);
        }
        assert!(timers.slots.len() <= SMALLEST_SHRUNK);
        dead.extend(keys);
    }
}

#[test]
fn a_slot_whose_generations_are_used_up_is_retired() {
    let mut timers = Timers::new();
    let key = timers.insert(at(1), 'a');
    timers.slots[0].generation = RETIRED - 1;
    let last = TimerKey {
        generation: RETIRED - 1,
        ..key
    };
    assert_eq!(timers.cancel(last), Some('a'));
    let next = timers.insert(at(1), 'b');
    assert_eq!(next.index, 1);
    assert_eq!(timers.cancel(last), None);
    timers.check();
}
