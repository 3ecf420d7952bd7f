//! Large buffers that are used again and again, so that the allocator is not left with memory it cannot give back.

use std::sync::{Mutex, PoisonError};

/// A shelf of empty buffers. What is taken need not be given back; what is given back may be dropped.
#[derive(Debug, Default)]
pub struct Buffers {
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Buffers {
    /// An empty buffer with room for at least `capacity` bytes.
    pub fn take(&self, capacity: usize) -> Vec<u8> {
        if capacity < SMALLEST {
            return Vec::with_capacity(capacity);
        }
        let wanted = size_of_class(capacity);
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Vec<u8>| (capacity..=wanted * 2).contains(&buffer.capacity());
        match shelf.buffers.iter().position(fits) {
            Some(at) => {
                let buffer = shelf.buffers.swap_remove(at);
                shelf.bytes -= buffer.capacity();
                buffer
            }
            None => {
                drop(shelf);
                Vec::with_capacity(wanted)
            }
        }
    }

    /// Takes a buffer that is not needed any more. Its content is lost.
    pub fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() < SMALLEST {
            return;
        }
        buffer.clear();
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.bytes + buffer.capacity() <= LIMIT && shelf.buffers.len() < COUNT {
            shelf.bytes += buffer.capacity();
            shelf.buffers.push(buffer);
        }
    }
}

/// Few different sizes, so that what is given back fits what is taken next.
fn size_of_class(capacity: usize) -> usize {
    let classes = [MOST_CHUNKS, ALL_CHUNKS, capacity];
    classes
        .into_iter()
        .find(|class| *class >= capacity)
        .unwrap_or(capacity)
}

/// Most chunks are shorter than this, sealed or not.
const MOST_CHUNKS: usize = 2 << 20;
/// All chunks are.
const ALL_CHUNKS: usize = (8 << 20) + (64 << 10);
/// Smaller buffers are the allocator's business.
const SMALLEST: usize = 128 << 10;
/// Bytes of all buffers on the shelf.
const LIMIT: usize = 96 << 20;
/// So that looking for one takes no time.
const COUNT: usize = 32;

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
        let again = buffers.take(600 << 10);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        for _ in 0..20 {
            buffers.give(Vec::with_capacity(8 << 20));
        }
        let shelf = buffers.shelf.lock().unwrap();
        assert!(shelf.bytes <= LIMIT);
        assert!(!shelf.buffers.is_empty());
    }

    #[test]
    fn a_small_need_leaves_a_large_buffer() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(20 << 20));
        assert!(buffers.take(200 << 10).capacity() < 20 << 20);
        assert!(buffers.take(20 << 20).capacity() >= 20 << 20);
        assert!(buffers.shelf.lock().unwrap().buffers.is_empty());
    }
}
