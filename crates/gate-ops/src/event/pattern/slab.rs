//! Things by numbers that are given again when they are free.

/// The things and the numbers that are free.
pub(super) struct Slab<T> {
    things: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            things: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    pub(super) fn put(&mut self, thing: T) -> u32 {
        match self.free.pop() {
            Some(at) => {
                self.things[at as usize] = Some(thing);
                at
            }
            None => {
                self.things.push(Some(thing));
                self.things.len() as u32 - 1
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> &T {
        self.things[at as usize]
            .as_ref()
            .expect("numbers are dropped with their things")
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut T {
        self.things[at as usize]
            .as_mut()
            .expect("numbers are dropped with their things")
    }

    pub(super) fn take(&mut self, at: u32) -> T {
        self.free.push(at);
        self.things[at as usize]
            .take()
            .expect("numbers are dropped with their things")
    }

    pub(super) fn bound(&self) -> usize {
        self.things.len()
    }
}
