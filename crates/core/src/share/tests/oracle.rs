//! The rules of the ledger written as they are stated: scans over vectors, no heaps, one lane.

use std::vec::Vec;

/// Where a counter that comes in is lifted: the rule, and two wrong ones as controls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lift {
    Everywhere,
    /// Only the account whose request it is, not those above it.
    LowestOnly,
    Nowhere,
}

#[derive(Clone, Debug, Default)]
struct Place {
    open: bool,
    parent: usize,
    weight: f64,
    counter: f64,
    own: f64,
    last_left: f64,
    waiting: u32,
}

/// One lane. Accounts have the indices that the ledger gave them; the root has the last.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    places: Vec<Place>,
    lift: Lift,
}

impl Oracle {
    pub(super) fn new(accounts_max: usize, lift: Lift) -> Self {
        let mut places = Vec::new();
        places.resize(accounts_max + 1, Place::default());
        Self { places, lift }
    }

    pub(super) fn root(&self) -> usize {
        self.places.len() - 1
    }

    pub(super) fn open(&mut self, index: usize, parent: Option<usize>, weight: f64) {
        let parent = parent.unwrap_or(self.root());
        self.places[index] = Place { open: true, parent, weight, ..Place::default() };
    }

    pub(super) fn close(&mut self, index: usize) {
        self.places[index].open = false;
    }

    pub(super) fn set_weight(&mut self, index: usize, weight: f64) {
        self.places[index].weight = weight;
    }

    pub(super) fn weight(&self, index: usize) -> f64 {
        self.places[index].weight
    }

    pub(super) fn counter(&self, index: usize) -> f64 {
        self.places[index].counter
    }

    pub(super) fn waiting(&self, index: usize) -> u32 {
        self.places[index].waiting
    }

    pub(super) fn children(&self, index: usize) -> Vec<usize> {
        let below = |child: &usize| self.places[*child].open && self.places[*child].parent == index;
        (0..self.root()).filter(below).collect()
    }

    pub(super) fn is_active(&self, index: usize) -> bool {
        let children = self.children(index);
        self.places[index].waiting > 0 || children.into_iter().any(|child| self.is_active(child))
    }

    /// The account and all above it, without the root.
    pub(super) fn way_up(&self, index: usize) -> Vec<usize> {
        let up = |at: &usize| Some(self.places[*at].parent).filter(|above| *above != self.root());
        std::iter::successors(Some(index), up).collect()
    }

    /// Smallest counter among what competes below `index`.
    pub(super) fn counter_min(&self, index: usize) -> Option<f64> {
        let active = self.children(index).into_iter().filter(|child| self.is_active(*child));
        let place = &self.places[index];
        let own = (place.waiting > 0).then_some(place.own);
        active.map(|child| self.places[child].counter).chain(own).min_by(f64::total_cmp)
    }

    fn floor(&self, index: usize) -> f64 {
        self.counter_min(index).unwrap_or(self.places[index].last_left)
    }

    pub(super) fn arrive(&mut self, index: usize) {
        let before = self.clone();
        if before.waiting(index) == 0 {
            let lift = |counter: f64, below| match before.lift {
                Lift::Nowhere => counter,
                Lift::LowestOnly if below != index && below != before.places[index].parent => {
                    counter
                }
                _ => counter.max(before.floor(below)),
            };
            let own = &mut self.places[index].own;
            *own = lift(*own, index);
            let way = before.way_up(index);
            for at in way.into_iter().take_while(|at| !before.is_active(*at)) {
                let place = &mut self.places[at];
                place.counter = lift(place.counter, place.parent);
            }
        }
        self.places[index].waiting += 1;
    }

    pub(super) fn depart(&mut self, index: usize) {
        let place = &mut self.places[index];
        place.waiting -= 1;
        if place.waiting > 0 {
            return;
        }
        place.last_left = place.own;
        for at in self.way_up(index) {
            if self.is_active(at) {
                return;
            }
            let (parent, counter) = (self.places[at].parent, self.places[at].counter);
            self.places[parent].last_left = counter;
        }
    }

    pub(super) fn charge(&mut self, index: usize, cost: f64) {
        self.places[index].own += cost;
        for at in self.way_up(index) {
            self.places[at].counter += cost / self.places[at].weight;
        }
    }

    pub(super) fn eligible(&self, credit: f64) -> Vec<usize> {
        let within = |counter: f64, below: usize| {
            self.counter_min(below).is_some_and(|least| counter <= least + credit)
        };
        let is_eligible = |index: &usize| {
            let place = &self.places[*index];
            let turn = |at: usize| within(self.places[at].counter, self.places[at].parent);
            place.open
                && place.waiting > 0
                && within(place.own, *index)
                && self.way_up(*index).into_iter().all(turn)
        };
        (0..self.root()).filter(is_eligible).collect()
    }
}
