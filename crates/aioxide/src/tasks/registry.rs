//! `Registry`: values with a place each, so that one can be taken out by its place.
//!
//! Holds the tasks that have not ended, as `asyncio.tasks._scheduled_tasks` does. A vacant place names
//! the next vacant one.

#![forbid(unsafe_code)]

pub(crate) struct Registry<V> {
    places: Vec<Place<V>>,
    vacant: u32,
    len: usize,
}

impl<V> Registry<V> {
    pub(crate) const fn new() -> Registry<V> {
        Registry {
            places: Vec::new(),
            vacant: NONE,
            len: 0,
        }
    }

    /// Keeps a value; returns its place.
    #[inline]
    pub(crate) fn insert(&mut self, value: V) -> u32 {
        self.len += 1;
        let key = self.vacant;
        if let Some(place) = self.places.get_mut(key as usize) {
            if let Place::Vacant(next) = *place {
                self.vacant = next;
            }
            *place = Place::Taken(value);
            return key;
        }
        self.places.push(Place::Taken(value));
        u32::try_from(self.places.len() - 1).expect("2^32 tasks do not fit into memory")
    }

    /// Takes a value out.
    #[inline]
    pub(crate) fn remove(&mut self, key: u32) -> Option<V> {
        let place = self.places.get_mut(key as usize)?;
        if matches!(place, Place::Vacant(_)) {
            return None;
        }
        self.len -= 1;
        let taken = std::mem::replace(place, Place::Vacant(self.vacant));
        self.vacant = key;
        if self.len == 0 {
            self.forget_places();
        }
        match taken {
            Place::Taken(value) => Some(value),
            Place::Vacant(_) => None,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.places.iter().filter_map(|place| match place {
            Place::Taken(value) => Some(value),
            Place::Vacant(_) => None,
        })
    }

    /// Gives back the room of many values when none is left.
    fn forget_places(&mut self) {
        if self.places.len() > LARGEST_KEPT {
            self.places = Vec::new();
            self.vacant = NONE;
        }
    }
}

enum Place<V> {
    Taken(V),
    Vacant(u32),
}

/// No place has this number.
const NONE: u32 = u32::MAX;

/// An empty registry keeps this many places: 256 KiB.
const LARGEST_KEPT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_and_never_twice_at_once() {
        let mut registry = Registry::new();
        let one = registry.insert("one");
        let two = registry.insert("two");
        assert_ne!(one, two);
        assert_eq!(registry.remove(one), Some("one"));
        assert_eq!(registry.remove(one), None);
        assert_eq!(registry.insert("three"), one);
        assert_eq!(registry.iter().copied().collect::<Vec<_>>(), ["three", "two"]);
        assert_eq!(registry.len(), 2);
    }
}
