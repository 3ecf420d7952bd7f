//! Large buffers that are used again and again, and whose memory goes back to the kernel when they go.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A shelf of buffers of few sizes. What is taken need not be given back; what is given back may be dropped.
///
/// An allocator that keeps freed memory for itself, as that of the GNU C library does with everything up to 32 MiB,
/// keeps several times of what is in use here: chunks are large and of all sizes. It maps what is larger by itself, and
/// unmaps it when it is freed. So buffers may ask for more than 32 MiB of addresses, of which only the pages that are
/// written to become memory.
#[derive(Debug, Default)]
pub struct Buffers {
    shelf: Mutex<Shelf>,
    /// Bytes of addresses for each buffer beyond those that it may need.
    spare: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    classes: [Vec<Vec<u8>>; CLASSES.len() + 1],
    /// The room of all of them.
    bytes: usize,
}

impl Shelf {
    /// A buffer of this class with enough room, or one of the next larger class: its pages are there already.
    fn take(&mut self, class: usize, capacity: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| Buffers::room(buffer) >= capacity;
        for buffers in self.classes.iter_mut().skip(class).take(2) {
            if let Some(at) = buffers.iter().rposition(fits) {
                let found = buffers.swap_remove(at);
                self.bytes -= Buffers::room(&found);
                return Some(found);
            }
        }
        None
    }

    /// Puts a buffer of this class there. What there is most of has to go for it.
    fn put(&mut self, class: usize, buffer: Vec<u8>) {
        self.bytes += Buffers::room(&buffer);
        self.classes[class].push(buffer);
        while self.bytes > MOST {
            let most = self.classes.iter_mut().max_by_key(|buffers| rooms(buffers));
            let Some(gone) = most.and_then(Vec::pop) else {
                return;
            };
            self.bytes -= Buffers::room(&gone);
        }
    }
}

fn rooms(buffers: &[Vec<u8>]) -> usize {
    buffers.iter().map(Buffers::room).sum()
}

impl Buffers {
    /// Buffers that are mapped by themselves, for where addresses cost nothing: see [`Buffers`].
    pub fn mapped() -> Buffers {
        Buffers {
            spare: SPARE,
            ..Buffers::default()
        }
    }

    /// Bytes that a buffer is meant for. It may have a larger capacity.
    pub fn room(buffer: &Vec<u8>) -> usize {
        let capacity = buffer.capacity();
        capacity.checked_sub(SPARE).unwrap_or(capacity)
    }

    /// Lets go of all that lies on the shelf.
    pub fn clear(&self) {
        *self.shelf() = Shelf::default();
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
        let class = CLASSES.iter().position(|class| capacity <= *class);
        if let Some(found) = self.shelf().take(class.unwrap_or(CLASSES.len()), capacity) {
            return found;
        }
        let class = class.and_then(|class| CLASSES.get(class));
        let room = class.map_or(capacity, |class| *class);
        let mut buffer = Vec::new();
        match buffer.try_reserve_exact(room + self.spare) {
            Ok(()) => buffer,
            // A limit on addresses; what is really needed may be had.
            Err(_) => Vec::with_capacity(room),
        }
    }

    /// Takes a buffer that is not needed any more.
    pub fn give(&self, buffer: Vec<u8>) {
        let room = Buffers::room(&buffer);
        let fits = |class: &usize| (*class..class + class / 2).contains(&room);
        let class = match CLASSES.iter().position(fits) {
            Some(at) => at,
            None if room > LARGE => CLASSES.len(),
            None => return,
        };
        // Beyond its room it takes memory that nobody counts.
        if buffer.len() > room {
            return;
        }
        self.shelf().put(class, buffer);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rooms of buffers for chunks, sealed or not. Half of all chunks are shorter than a mebibyte, few longer than 4, none
/// longer than 8. A buffer that must grow is copied into one of the next size, which costs less than pages that are
/// written to once and then never needed.
const CLASSES: [usize; 5] = [
    (512 << 10) + MORE,
    (1 << 20) + MORE,
    (2 << 20) + MORE,
    (4 << 20) + MORE,
    LARGE,
];
/// What compressing and sealing may add to a chunk.
const MORE: usize = 64 << 10;
/// Larger ones are for packs.
const LARGE: usize = (8 << 20) + MORE;
/// Bytes of the rooms that may lie on the shelf.
const MOST: usize = 36 << 20;
/// More than the GNU C library ever keeps for itself: its `DEFAULT_MMAP_THRESHOLD_MAX`, on machines of 64 bits.
const SPARE: usize = 33 << 20;
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
        let shelf = buffers.shelf();
        assert!(shelf.classes.iter().all(Vec::is_empty) && shelf.bytes == 0);
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
        for buffers in [Buffers::default(), Buffers::mapped()] {
            for bytes in [512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 17 << 20] {
                let taken: Vec<_> = (0..40).map(|_| buffers.take(bytes)).collect();
                taken.into_iter().for_each(|buffer| buffers.give(buffer));
            }
            let shelf = buffers.shelf();
            let rooms = shelf.classes.iter().flatten().map(Buffers::room);
            assert_eq!(rooms.sum::<usize>(), shelf.bytes);
            assert!((MOST / 2..=MOST).contains(&shelf.bytes));
        }
    }

    #[test]
    fn what_outgrew_its_room_is_not_kept() {
        let buffers = Buffers::mapped();
        let mut buffer = buffers.take(1 << 20);
        let place = buffer.as_ptr();
        buffer.resize(3 << 20, 0);
        assert_eq!(
            (buffer.as_ptr(), Buffers::room(&buffer)),
            (place, (1 << 20) + MORE)
        );
        buffers.give(buffer);
        assert_eq!(buffers.shelf().bytes, 0);
    }

    #[test]
    fn a_small_need_leaves_a_large_buffer() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(20 << 20));
        assert!(buffers.take(200 << 10).capacity() < 1 << 20);
        assert!(buffers.take(20 << 20).capacity() >= 20 << 20);
        assert!(buffers.shelf().classes[CLASSES.len()].is_empty());
    }
}
