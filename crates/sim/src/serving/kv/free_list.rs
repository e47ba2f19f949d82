//! Free blocks in the order in which they will be reused: a linked list in an array.

/// No block.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
}

/// A queue of block numbers from which any one can be taken out in O(1).
#[derive(Debug)]
pub(super) struct FreeList {
    links: Box<[Link]>,
    front: u32,
    back: u32,
    len: u32,
}

impl FreeList {
    /// All of `0..count`, in order.
    pub(super) fn full(count: u32) -> Self {
        let links = vec![Link { previous: NONE, next: NONE }; count as usize].into_boxed_slice();
        let mut list = Self { links, front: NONE, back: NONE, len: 0 };
        for block in 0..count {
            list.push_back(block);
        }
        list
    }

    /// Blocks in the list.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Appends a block that is not in the list.
    pub(super) fn push_back(&mut self, block: u32) {
        self.links[block as usize] = Link { previous: self.back, next: NONE };
        match self.back {
            NONE => self.front = block,
            back => self.links[back as usize].next = block,
        }
        self.back = block;
        self.len += 1;
    }

    /// Takes the first block.
    pub(super) fn pop_front(&mut self) -> Option<u32> {
        let block = self.front;
        if block == NONE {
            return None;
        }
        self.remove(block);
        Some(block)
    }

    /// Takes out a block that is in the list.
    pub(super) fn remove(&mut self, block: u32) {
        let Link { previous, next } = self.links[block as usize];
        match previous {
            NONE => self.front = next,
            previous => self.links[previous as usize].next = next,
        }
        match next {
            NONE => self.back = previous,
            next => self.links[next as usize].previous = previous,
        }
        self.len -= 1;
    }
}
