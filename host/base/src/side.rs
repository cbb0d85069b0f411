//! The two sides of a sync.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A side of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The system that is read.
    Source,
    /// The system that is brought in line: it is read back and written to.
    Destination,
}

impl Side {
    /// Both sides, the source first.
    pub const BOTH: [Side; 2] = [Side::Source, Side::Destination];

    /// Returns the word that users read and write.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Destination => "destination",
        }
    }

    /// Returns the letter that stands for the side in the cache: the name of a folder and of keys in `run.json`.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Side::Source => "A",
            Side::Destination => "B",
        }
    }

    /// Returns the other side.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value for each side. Its JSON has the sides' letters as keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PerSide<T> {
    /// The source's value.
    #[serde(rename = "A", default)]
    pub source: T,
    /// The destination's value.
    #[serde(rename = "B", default)]
    pub destination: T,
}

impl<T> PerSide<T> {
    /// Computes the value of each side, the source first.
    pub fn from_fn(mut value: impl FnMut(Side) -> T) -> PerSide<T> {
        PerSide { source: value(Side::Source), destination: value(Side::Destination) }
    }

    /// Returns a side's value.
    #[must_use]
    pub fn get(&self, side: Side) -> &T {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }

    /// Returns a side's value, to change it.
    pub fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }

    /// Returns both values with their sides, the source first.
    pub fn iter(&self) -> impl Iterator<Item = (Side, &T)> {
        Side::BOTH.into_iter().map(|side| (side, self.get(side)))
    }

    /// Changes each value to another one.
    pub fn map<U>(self, mut change: impl FnMut(Side, T) -> U) -> PerSide<U> {
        PerSide { source: change(Side::Source, self.source), destination: change(Side::Destination, self.destination) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_letter_in_json() {
        let sides = PerSide::from_fn(Side::as_str);
        let json = serde_json::to_string(&sides).unwrap();
        assert_eq!(json, r#"{"A":"source","B":"destination"}"#);
        for (side, word) in sides.iter() {
            assert_eq!((side.to_string().as_str(), side.letter(), side.other().other()), (*word, ["A", "B"][side as usize], side));
        }
        let lengths: PerSide<usize> = sides.map(|_, word| word.len());
        assert_eq!((*lengths.get(Side::Source), *lengths.get(Side::Destination)), (6, 11));
        assert_eq!(serde_json::from_str::<PerSide<u32>>("{\"B\":2}").unwrap(), PerSide { source: 0, destination: 2 });
    }
}
