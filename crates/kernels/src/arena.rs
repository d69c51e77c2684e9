//! Memory for weights and caches: zeroed, aligned to cache lines, on huge pages where the system
//! grants them.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// Alignment of every allocation, bytes: a cache line and an AVX-512 register.
const ALIGN: usize = 64;
/// Address space taken at once for small allocations. Pages not yet written cost nothing.
const REGION_BYTES: usize = 64 << 20;

/// Places many allocations on few huge pages: a small model has hundreds of matrices below 2 MB.
///
/// Memory is returned to the system when the arena and every allocation of a region are gone.
#[derive(Debug)]
pub struct Arena {
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    region: Arc<Region>,
    used: usize,
}

impl Arena {
    /// An arena that holds no memory yet.
    pub fn new() -> Self {
        Self { current: Mutex::new(None) }
    }

    /// `len` zero bytes, aligned to 64.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn alloc(&self, len: usize) -> Result<AlignedBytes, Error> {
        if len > REGION_BYTES / 4 {
            return AlignedBytes::own_region(len, Pages::Huge);
        }
        let mut guard = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let current = match guard.as_mut() {
            Some(current) if current.region.len - current.used >= len => current,
            _ => guard.insert(Current {
                region: Arc::new(Region::new(REGION_BYTES, Pages::Huge)?),
                used: 0,
            }),
        };
        let start = current.used;
        current.used = (start + len).next_multiple_of(ALIGN).min(current.region.len);
        Ok(AlignedBytes::part(&current.region, start, len))
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

/// Owned bytes, aligned to 64.
#[derive(Debug)]
pub struct AlignedBytes {
    start: NonNull<u8>,
    len: usize,
    _region: Arc<Region>,
}

// SAFETY: the range is reached through this value alone, like a `Box<[u8]>`; the region is only
// kept alive.
unsafe impl Send for AlignedBytes {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// `len` zero bytes in a region of their own, resident only as far as they are written.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn zeroed(len: usize) -> Result<Self, Error> {
        Self::own_region(len, Pages::Small)
    }

    fn own_region(len: usize, pages: Pages) -> Result<Self, Error> {
        Ok(Self::part(&Arc::new(Region::new(len.max(1), pages)?), 0, len))
    }

    /// Bytes `start..start + len` of `region`, which nothing else has been given.
    fn part(region: &Arc<Region>, start: usize, len: usize) -> Self {
        assert!(start + len <= region.len, "{start}+{len} of {}", region.len);
        // SAFETY: the offset is inside the region by the assertion.
        let start = unsafe { region.start.add(start) };
        Self { start, len, _region: Arc::clone(region) }
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range is inside a live region, initialised to zero, and borrowed through
        // `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `self` is the only way to the range.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// Memory taken from the system in one piece.
#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    len: usize,
    source: Source,
}

// SAFETY: a region is an address range; access to its bytes is ruled by `AlignedBytes`.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// How a region was taken, hence how it is returned.
#[derive(Debug)]
enum Source {
    /// The global allocator.
    Heap(std::alloc::Layout),
    /// An anonymous mapping: base address and length.
    #[cfg(target_os = "linux")]
    Mapping(NonNull<u8>, usize),
}

/// The pages to ask the system for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// Of 2 MB: faster to stream, resident as a whole from the first write on.
    Huge,
    /// The system's own.
    Small,
}

impl Region {
    #[cfg(target_os = "linux")]
    fn new(len: usize, pages: Pages) -> Result<Self, Error> {
        if len >= linux::HUGE_PAGE_BYTES { linux::map(len, pages) } else { Self::heap(len) }
    }

    #[cfg(not(target_os = "linux"))]
    fn new(len: usize, _pages: Pages) -> Result<Self, Error> {
        Self::heap(len)
    }

    fn heap(len: usize) -> Result<Self, Error> {
        let out_of_memory = || Error::OutOfMemory { bytes: len };
        let layout =
            std::alloc::Layout::from_size_align(len, ALIGN).map_err(|_| out_of_memory())?;
        // SAFETY: callers pass `len` of at least one.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) });
        Ok(Self { start: start.ok_or_else(out_of_memory)?, len, source: Source::Heap(layout) })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match self.source {
            // SAFETY: taken from the global allocator with this layout, and no user is left.
            Source::Heap(layout) => unsafe { std::alloc::dealloc(self.start.as_ptr(), layout) },
            #[cfg(target_os = "linux")]
            Source::Mapping(base, len) => linux::unmap(base, len),
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    //! Anonymous mappings aligned to huge pages.

    use std::ptr::{NonNull, null_mut};

    use super::{Pages, Region, Source};
    use crate::Error;

    /// The size of a huge page on x86-64 and on aarch64 with 4 KB pages.
    pub(super) const HUGE_PAGE_BYTES: usize = 2 << 20;

    /// Maps `len` zero bytes aligned to a huge page and asks for such pages where wanted.
    pub(super) fn map(len: usize, pages: Pages) -> Result<Region, Error> {
        let out_of_memory = || Error::OutOfMemory { bytes: len };
        let mapped_len = len.checked_add(2 * HUGE_PAGE_BYTES).ok_or_else(out_of_memory)?;
        let (prot, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping touches no existing memory.
        let base = unsafe { libc::mmap(null_mut(), mapped_len, prot, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(out_of_memory());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(out_of_memory)?;
        let offset = base.align_offset(HUGE_PAGE_BYTES);
        // SAFETY: `offset` is below one huge page, and two were added to the length.
        let start = unsafe { base.add(offset) };
        // The end that does not fill a huge page stays on small ones, resident as far as written.
        let huge_len = match pages {
            Pages::Huge => len - len % HUGE_PAGE_BYTES,
            Pages::Small => 0,
        };
        let start_address = start.as_ptr().cast::<libc::c_void>();
        // SAFETY: both ranges are inside the new mapping. A refusal only means other pages.
        unsafe {
            libc::madvise(start_address, huge_len, libc::MADV_HUGEPAGE);
            let end = start_address.byte_add(huge_len);
            let end_len = mapped_len - offset - huge_len;
            libc::madvise(end, end_len, libc::MADV_NOHUGEPAGE);
        }
        Ok(Region { start, len, source: Source::Mapping(base, mapped_len) })
    }

    /// Returns a mapping to the system.
    pub(super) fn unmap(base: NonNull<u8>, len: usize) {
        // SAFETY: exactly the range that `map` got, and no user is left.
        unsafe { libc::munmap(base.as_ptr().cast(), len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_zero_aligned_and_disjoint() {
        let arena = Arena::new();
        let sizes = [1, 63, 64, 65, 100_000, 3 << 20, 0, 17 << 20];
        let mut all: Vec<AlignedBytes> = sizes.iter().map(|&n| arena.alloc(n).unwrap()).collect();
        drop(arena);
        for (i, bytes) in all.iter_mut().enumerate() {
            assert_eq!(bytes.len(), sizes[i]);
            assert_eq!(bytes.as_ptr().align_offset(64), 0);
            assert!(bytes.iter().all(|&b| b == 0));
            bytes.fill(i as u8 + 1);
        }
        for (i, bytes) in all.iter().enumerate() {
            assert!(bytes.iter().all(|&b| b == i as u8 + 1));
        }
    }

    #[test]
    fn a_full_region_is_followed_by_another() {
        let arena = Arena::new();
        let first = arena.alloc(15 << 20).unwrap();
        let rest: Vec<_> = (0..6).map(|_| arena.alloc(15 << 20).unwrap()).collect();
        assert_eq!(first.len() * 6, rest.iter().map(|bytes| bytes.len()).sum());
    }

    #[test]
    fn impossible_sizes_are_errors() {
        assert!(matches!(AlignedBytes::zeroed(usize::MAX - 4096), Err(Error::OutOfMemory { .. })));
        assert!(matches!(AlignedBytes::zeroed(usize::MAX), Err(Error::OutOfMemory { .. })));
    }
}
