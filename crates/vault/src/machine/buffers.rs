//! Large buffers that are used again and again, so that the allocator is not left with memory it cannot give back.

use std::sync::{Mutex, PoisonError};

/// A shelf of buffers of few sizes. What is taken need not be given back; what is given back may be dropped.
#[derive(Debug, Default)]
pub struct Buffers {
    shelf: Mutex<[Vec<Vec<u8>>; CLASSES.len() + 1]>,
}

impl Buffers {
    /// Lets go of all that lies on the shelf.
    pub fn clear(&self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }

    /// An empty buffer with room for at least `capacity` bytes.
    pub fn take(&self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.take_used(capacity);
        buffer.clear();
        buffer
    }

    /// A buffer with room for at least `capacity` bytes that still holds what it held: bytes that are there need not be
    /// made anew to be overwritten.
    pub fn take_used(&self, capacity: usize) -> Vec<u8> {
        if capacity < SMALLEST {
            return Vec::with_capacity(capacity);
        }
        let class = CLASSES.iter().position(|class| capacity <= class.bytes);
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let buffers = &mut shelf[class.unwrap_or(CLASSES.len())];
        let found = match class {
            Some(_) => buffers.pop(),
            None => {
                let fits = |buffer: &Vec<u8>| buffer.capacity() >= capacity;
                let at = buffers.iter().position(fits);
                at.map(|at| buffers.swap_remove(at))
            }
        };
        drop(shelf);
        found.unwrap_or_else(|| {
            let bytes = class.and_then(|class| CLASSES.get(class));
            Vec::with_capacity(bytes.map_or(capacity, |class| class.bytes))
        })
    }

    /// Takes a buffer that is not needed any more.
    pub fn give(&self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let fits = |class: &Class| (class.bytes..class.bytes + class.bytes / 2).contains(&capacity);
        let (class, most) = match CLASSES.iter().position(fits) {
            Some(at) => (at, CLASSES.get(at).map_or(0, |class| class.most)),
            None if capacity > LARGE => (CLASSES.len(), MOST_LARGE),
            None => return,
        };
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf[class].len() < most {
            shelf[class].push(buffer);
        }
    }
}

/// Buffers of one size.
#[derive(Debug)]
struct Class {
    bytes: usize,
    /// How many may lie on the shelf.
    most: usize,
}

/// For chunks, sealed or not. Half of all are shorter than a mebibyte, few longer than 4, none longer than 8. A buffer
/// that must grow is copied into one of the next size, which costs less than pages that are written to once and then
/// never needed.
const CLASSES: [Class; 5] = [
    Class::new(512 << 10, 12),
    Class::new(1 << 20, 24),
    Class::new(2 << 20, 12),
    Class::new(4 << 20, 6),
    Class::new(8 << 20, 4),
];

impl Class {
    /// For chunks of up to so many bytes, and what compressing and sealing may add.
    const fn new(bytes: usize, most: usize) -> Class {
        Class {
            bytes: bytes + ROOM,
            most,
        }
    }
}

const ROOM: usize = 64 << 10;
/// Larger ones are for packs.
const LARGE: usize = (8 << 20) + ROOM;
const MOST_LARGE: usize = 4;
/// Smaller buffers are the allocator's business.
const SMALLEST: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_for_what_it_fits() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(1 << 20);
        buffer.push(1);
        let place = buffer.as_ptr();
        buffers.give(buffer);
        let larger = buffers.take(5 << 20);
        assert!(larger.as_ptr() != place);
        let again = buffers.take(800 << 10);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn what_lies_there_is_let_go() {
        let buffers = Buffers::default();
        buffers.give(buffers.take(1 << 20));
        buffers.clear();
        let shelf = buffers.shelf.lock().unwrap();
        assert!(shelf.iter().all(Vec::is_empty));
    }

    #[test]
    fn what_was_written_is_there_for_who_asks_for_it() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(1 << 20);
        buffer.extend_from_slice(b"bytes");
        buffers.give(buffer);
        assert_eq!(buffers.take_used(1 << 20), b"bytes");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        for bytes in [512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 17 << 20] {
            for _ in 0..40 {
                let mut buffer = Vec::new();
                buffer.reserve_exact(bytes + ROOM);
                buffers.give(buffer);
            }
        }
        let shelf = buffers.shelf.lock().unwrap();
        assert_eq!(
            shelf.each_ref().map(Vec::len),
            [12, 24, 12, 6, 4, MOST_LARGE]
        );
    }

    #[test]
    fn a_small_need_leaves_a_large_buffer() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(20 << 20));
        assert!(buffers.take(200 << 10).capacity() < 1 << 20);
        assert!(buffers.take(20 << 20).capacity() >= 20 << 20);
        assert!(buffers.shelf.lock().unwrap()[CLASSES.len()].is_empty());
    }
}
