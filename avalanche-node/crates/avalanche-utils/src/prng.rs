//! The Mersenne twisters of gonum's `mathext/prng`, which schedule block proposers. State words are twisted one by one
//! as they are drawn, which gives the same stream as twisting them all at once and costs a single draw far less.

/// A stream of 64-bit numbers.
pub trait Source {
    /// The next number.
    fn next_u64(&mut self) -> u64;
}

macro_rules! twister {
    ($(#[$doc:meta])* $name:ident, $word:ty, $bits:literal, $n:literal, $m:literal, $matrix:literal, $multiplier:literal, $lower:literal, $temper:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            state: [$word; $n],
            next: usize,
        }

        impl $name {
            /// The generator at the start of the stream of `seed`.
            #[must_use]
            pub fn new(seed: $word) -> Self {
                let mut state = [seed; $n];
                let mut previous = seed;
                for (word, index) in state.iter_mut().zip(0..).skip(1) {
                    previous = <$word>::wrapping_mul($multiplier, previous ^ (previous >> ($bits - 2)))
                        .wrapping_add(index);
                    *word = previous;
                }
                Self { state, next: 0 }
            }

            fn next_word(&mut self) -> $word {
                let at = self.next;
                self.next = (at + 1) % $n;
                let mixed = (self.state[at] & !$lower) | (self.state[self.next] & $lower);
                let twist = if mixed & 1 == 1 { $matrix } else { 0 };
                let word = self.state[(at + $m) % $n] ^ (mixed >> 1) ^ twist;
                self.state[at] = word;
                $temper(word)
            }
        }
    };
}

twister! {
    /// The 32-bit twister; the list of proposers before Durango is drawn from it.
    Mt19937, u32, 32, 624, 397, 0x9908_b0df, 1_812_433_253, 0x7fff_ffff, |mut y: u32| {
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }
}

twister! {
    /// The 64-bit twister; the proposer of a slot since Durango is drawn from it.
    Mt19937_64, u64, 64, 312, 156, 0xb502_6f5a_a966_19e9, 6_364_136_223_846_793_005, 0x7fff_ffff, |mut y: u64| {
        y ^= (y >> 29) & 0x5555_5555_5555_5555;
        y ^= (y << 17) & 0x71d6_7fff_eda6_0000;
        y ^= (y << 37) & 0xfff7_eee0_0000_0000;
        y ^ (y >> 43)
    }
}

impl Mt19937 {
    /// As [`Mt19937::new`]; only the lower half of a 64-bit seed counts.
    #[must_use]
    pub fn from_u64(seed: u64) -> Self {
        let [.., a, b, c, d] = seed.to_be_bytes();
        Self::new(u32::from_be_bytes([a, b, c, d]))
    }
}

impl Source for Mt19937 {
    /// Two draws, the high half first.
    fn next_u64(&mut self) -> u64 {
        let high = u64::from(self.next_word());
        (high << 32) | u64::from(self.next_word())
    }
}

impl Source for Mt19937_64 {
    fn next_u64(&mut self) -> u64 {
        self.next_word()
    }
}
