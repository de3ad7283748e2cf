//! From usage to money: prices per unit, per service tier, above a length, from a date.

use crate::Usage;
use gate_model::resources::ServiceTier;
use gate_model::units::{Money, Pieces};

/// What has a price. Tokens have theirs per token, everything else per piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceUnit {
    /// Tokens of input that no other price is for.
    Input,
    /// Tokens of output that no other price is for.
    Output,
    /// Input tokens read from the provider's prompt cache.
    Cached,
    /// Input tokens written to it for five minutes.
    Written,
    /// Input tokens written to it for an hour.
    WrittenHour,
    /// Output tokens spent on thinking.
    Reasoning,
    /// Input tokens of audio.
    AudioInput,
    /// Output tokens of audio.
    AudioOutput,
    /// Input tokens of audio read from the cache.
    AudioCached,
    /// Input tokens of images.
    ImageInput,
    /// Output tokens of images.
    ImageOutput,
    /// An image made.
    Image,
    /// A second of audio heard.
    Second,
    /// A character to speak.
    Character,
    /// A query (rerank, search).
    Query,
    /// A request, whatever is in it.
    Request,
    /// A web search by the provider with a small context.
    SearchSmall,
    /// The same with a medium context.
    SearchMedium,
    /// The same with a large context.
    SearchLarge,
}

const UNITS: [(&str, PriceUnit); 19] = [
    ("i", PriceUnit::Input),
    ("o", PriceUnit::Output),
    ("c", PriceUnit::Cached),
    ("w", PriceUnit::Written),
    ("h", PriceUnit::WrittenHour),
    ("r", PriceUnit::Reasoning),
    ("ai", PriceUnit::AudioInput),
    ("ao", PriceUnit::AudioOutput),
    ("ac", PriceUnit::AudioCached),
    ("ii", PriceUnit::ImageInput),
    ("io", PriceUnit::ImageOutput),
    ("img", PriceUnit::Image),
    ("sec", PriceUnit::Second),
    ("chr", PriceUnit::Character),
    ("qry", PriceUnit::Query),
    ("req", PriceUnit::Request),
    ("s0", PriceUnit::SearchSmall),
    ("s1", PriceUnit::SearchMedium),
    ("s2", PriceUnit::SearchLarge),
];

/// Searches of the web, in the order of [`Pieces::searches`].
const SEARCHES: [PriceUnit; 3] = [
    PriceUnit::SearchSmall,
    PriceUnit::SearchMedium,
    PriceUnit::SearchLarge,
];

/// One price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    unit: PriceUnit,
    tier: ServiceTier,
    /// For requests with more input tokens than this.
    above: u64,
    picodollars: u64,
}

/// The prices of a model at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates(Vec<Rate>);

impl Rates {
    /// Reads the last column of a line of the catalogue; none without a price.
    #[must_use]
    pub(super) fn parse(column: &str) -> Option<Self> {
        let rates: Vec<Rate> = column.split_ascii_whitespace().filter_map(rate).collect();
        (!rates.is_empty()).then_some(Self(rates))
    }

    /// Sets a price of the usual tier; `above` as for requests with more input tokens than that.
    pub fn set(&mut self, unit: PriceUnit, tier: ServiceTier, above: u64, picodollars: u64) {
        let same = |rate: &Rate| (rate.unit, rate.tier, rate.above) == (unit, tier, above);
        self.0.retain(|rate| !same(rate));
        self.0.push(Rate {
            unit,
            tier,
            above,
            picodollars,
        });
    }

    /// The price of a unit in picodollars: of the tier and the length where it has one, else of
    /// the tier, else the usual one for the length, else the usual one. `None` when unknown.
    #[must_use]
    pub fn price(&self, unit: PriceUnit, tier: ServiceTier, input_tokens: u64) -> Option<u64> {
        let of = |tier: ServiceTier, long: bool| {
            let fits = |rate: &&Rate| {
                let length = rate.above == 0 || (long && input_tokens > rate.above);
                rate.unit == unit && rate.tier == tier && length
            };
            let longest = self.0.iter().filter(fits).max_by_key(|rate| rate.above);
            longest.filter(|rate| !long || rate.above > 0)
        };
        let standard = ServiceTier::Standard;
        of(tier, true)
            .or_else(|| of(tier, false))
            .or_else(|| of(standard, true))
            .or_else(|| of(standard, false))
            .map(|rate| rate.picodollars)
    }

    /// The first of `units` that has a price; zero when none has.
    fn first(&self, units: &[PriceUnit], tier: ServiceTier, input_tokens: u64) -> u128 {
        let price = |unit: &PriceUnit| self.price(*unit, tier, input_tokens);
        units.iter().find_map(price).unwrap_or(0).into()
    }

    /// Whether tokens of input have a price, so that [`Self::cost`] means something.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        self.price(PriceUnit::Input, ServiceTier::Standard, 0)
            .is_some()
    }

    /// Whether calls have a price whatever they are of: by their tokens, or each.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        let has = |unit| self.price(unit, ServiceTier::Standard, 0).is_some();
        has(PriceUnit::Input) || has(PriceUnit::Request)
    }

    /// Whether anything has a price that a call may come to.
    #[must_use]
    pub fn has_any(&self) -> bool {
        use PriceUnit as P;
        let billed = [
            P::Input,
            P::Image,
            P::Second,
            P::Character,
            P::Query,
            P::Request,
        ];
        let has = |unit: &PriceUnit| self.price(*unit, ServiceTier::Standard, 0).is_some();
        billed.iter().any(has)
    }

    /// The usual prices of input, cached input, output and thinking, where they depend on nothing
    /// else and no request has a price of its own: what most models have.
    #[must_use]
    pub fn flat(&self) -> Option<[u64; 4]> {
        use PriceUnit as P;
        let usual = self
            .0
            .iter()
            .filter(|rate| rate.tier == ServiceTier::Standard);
        let mut depends = usual.map(|rate| rate.above > 0 || rate.unit == P::Request);
        if depends.any(|depends| depends) {
            return None;
        }
        let price = |unit| self.price(unit, ServiceTier::Standard, 0);
        let (input, output) = (price(P::Input).unwrap_or(0), price(P::Output).unwrap_or(0));
        let cached = price(P::Cached).unwrap_or(input);
        Some([input, cached, output, price(P::Reasoning).unwrap_or(output)])
    }

    /// What this usage costs. A kind of token without a price of its own costs what input or
    /// output does, written ones for an hour what written ones do.
    #[must_use]
    pub fn cost(&self, usage: &Usage, tier: ServiceTier) -> Money {
        self.cost_with(usage, &Pieces::default(), tier)
    }

    /// The same of a call that came to these pieces besides. Where its tokens have a price, what
    /// they are of has none of its own: the catalogue often has both.
    #[must_use]
    pub fn cost_with(&self, usage: &Usage, pieces: &Pieces, tier: ServiceTier) -> Money {
        let total = self.of_all(usage, pieces, tier, usage.input_tokens);
        let request = self.first(&[PriceUnit::Request], tier, usage.input_tokens);
        money(total.saturating_add(request))
    }

    /// What requests cost that came to this usage together, and whether that is a guess: where
    /// prices depend on a request's length, all are taken for as long as they are on average, and
    /// for short where it is not known how many there are.
    #[must_use]
    pub fn cost_of_many(
        &self,
        usage: &Usage,
        requests: Option<u64>,
        tier: ServiceTier,
    ) -> (Money, bool) {
        let all = usage.input_tokens;
        let average = requests.map_or(0, |requests| all / requests.max(1));
        let total = self.of_all(usage, &Pieces::default(), tier, average);
        let request = self.first(&[PriceUnit::Request], tier, average);
        let fees = u128::from(requests.unwrap_or(1)) * request;
        let depends = |rate: &Rate| rate.above > 0 && rate.above < all;
        let guessed = self.0.iter().any(depends) || (requests.is_none() && request > 0);
        let cost = money(total.saturating_add(fees));
        (cost, requests != Some(1) && guessed)
    }

    /// What all but the request itself costs, at the prices of requests of this length.
    fn of_all(&self, usage: &Usage, pieces: &Pieces, tier: ServiceTier, length: u64) -> u128 {
        use PriceUnit as P;
        let pieces = &pieces.or_better(&usage.pieces);
        let price = |units: &[PriceUnit]| self.first(units, tier, length);
        let fresh = usage.fresh_input_tokens();
        let heard = usage.audio_input_tokens;
        let kept = pieces.audio_cached_tokens;
        let kept = kept.min(heard).min(usage.cached_tokens);
        let audio = (heard - kept).min(fresh);
        let hour = usage
            .cache_written_1h_tokens
            .min(usage.cache_written_tokens);
        let reasoning = usage.reasoning_tokens.min(usage.output_tokens);
        let spoken = usage
            .audio_output_tokens
            .min(usage.output_tokens - reasoning);
        let seen = pieces.image_input_tokens.min(fresh - audio);
        let written = usage.output_tokens - reasoning - spoken;
        let drawn = pieces.image_output_tokens.min(written);
        let parts: [(u64, &[PriceUnit]); 11] = [
            (fresh - audio - seen, &[P::Input]),
            (audio, &[P::AudioInput, P::Input]),
            (seen, &[P::ImageInput, P::Input]),
            (usage.cached_tokens - kept, &[P::Cached, P::Input]),
            (kept, &[P::AudioCached, P::Cached, P::AudioInput, P::Input]),
            (usage.cache_written_tokens - hour, &[P::Written, P::Input]),
            (hour, &[P::WrittenHour, P::Written, P::Input]),
            (written - drawn, &[P::Output]),
            (drawn, &[P::ImageOutput, P::Output]),
            (reasoning, &[P::Reasoning, P::Output]),
            (spoken, &[P::AudioOutput, P::Output]),
        ];
        let mut total: u128 = 0;
        for (tokens, units) in parts {
            if tokens > 0 {
                total = total.saturating_add(u128::from(tokens) * price(units));
            }
        }
        if total == 0 {
            total = self.of_pieces(pieces, tier);
        }
        let fees = pieces.searches.into_iter().zip(SEARCHES);
        for (count, unit) in fees.filter(|(count, _)| *count > 0) {
            let fee = price(&[unit, P::SearchSmall]);
            total = total.saturating_add(u128::from(count) * fee);
        }
        total
    }

    /// The most that a search of the web costs, in picodollars.
    #[must_use]
    pub fn highest_search(&self, tier: ServiceTier) -> u64 {
        let fees = SEARCHES.iter();
        let fees = fees.filter_map(|unit| self.price(*unit, tier, 0));
        fees.max().unwrap_or(0)
    }

    /// What these pieces cost at most, tokens of images aside.
    #[must_use]
    pub fn pieces(&self, pieces: &Pieces, tier: ServiceTier) -> Money {
        money(self.of_pieces(pieces, tier))
    }

    fn of_pieces(&self, pieces: &Pieces, tier: ServiceTier) -> u128 {
        use PriceUnit as P;
        let price = |unit: PriceUnit| self.first(&[unit], tier, 0);
        let counted = [
            (pieces.images, P::Image),
            (pieces.characters, P::Character),
            (pieces.queries, P::Query),
        ];
        let heard = (u128::from(pieces.audio_ms) * price(P::Second)).div_ceil(1_000);
        let cost = |(count, unit): (u64, PriceUnit)| u128::from(count) * price(unit);
        counted
            .into_iter()
            .map(cost)
            .fold(heard, u128::saturating_add)
    }

    /// The most that a token of input, one of output and the request itself can cost.
    #[must_use]
    pub fn highest(&self, tier: ServiceTier, input_tokens: u64) -> Highest {
        use PriceUnit as P;
        let highest = |units: &[PriceUnit]| -> u64 {
            let price = |unit: &PriceUnit| self.price(*unit, tier, input_tokens);
            units.iter().filter_map(price).max().unwrap_or(0)
        };
        Highest {
            input: highest(&[
                P::Input,
                P::Written,
                P::WrittenHour,
                P::AudioInput,
                P::ImageInput,
            ]),
            output: highest(&[P::Output, P::Reasoning, P::AudioOutput, P::ImageOutput]),
            request: highest(&[P::Request]),
        }
    }

    /// Whether a price depends on how long the input is.
    #[must_use]
    pub fn depends_on_length(&self) -> bool {
        self.0.iter().any(|rate| rate.above > 0)
    }
}

/// The highest price of each kind, in picodollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Highest {
    /// Of a token of input.
    pub input: u64,
    /// Of a token of output.
    pub output: u64,
    /// Of the request.
    pub request: u64,
}

impl Highest {
    /// The most that so many tokens can cost.
    #[must_use]
    pub fn bound(&self, input_tokens: u64, output_tokens: u64) -> Money {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let total = of(input_tokens, self.input)
            .saturating_add(of(output_tokens, self.output))
            .saturating_add(self.request.into());
        money(total)
    }
}

/// Picodollars, at most what [`Money`] holds.
fn money(picodollars: u128) -> Money {
    Money::from_picodollars(i64::try_from(picodollars).unwrap_or(i64::MAX))
}

fn rate(text: &str) -> Option<Rate> {
    let (code, picodollars) = text.split_once('=')?;
    let (code, above) = match code.split_once('>') {
        Some((code, above)) => (code, above.parse().ok()?),
        None => (code, 0),
    };
    let (code, tier) = match code.split_once(':') {
        Some((code, "b")) => (code, ServiceTier::Batch),
        Some((code, "f")) => (code, ServiceTier::Flex),
        Some((code, "p")) => (code, ServiceTier::Priority),
        Some(_) => return None,
        None => (code, ServiceTier::Standard),
    };
    let (_, unit) = UNITS.iter().find(|(known, _)| *known == code)?;
    Some(Rate {
        unit: *unit,
        tier,
        above,
        picodollars: picodollars.parse().ok()?,
    })
}

/// The prices of a model over time, the latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices(Vec<(u64, Rates)>);

impl Prices {
    /// Prices that hold always.
    #[must_use]
    pub fn always(rates: Rates) -> Self {
        Self(vec![(0, rates)])
    }

    /// Adds prices that hold from this UNIX time in seconds on.
    pub fn insert(&mut self, from_unix_s: u64, rates: Rates) {
        let at = self.0.partition_point(|(from, _)| *from <= from_unix_s);
        self.0.insert(at, (from_unix_s, rates));
    }

    /// The prices when they do not change.
    #[must_use]
    pub fn unchanging(&self) -> Option<&Rates> {
        match &self.0[..] {
            [(_, rates)] => Some(rates),
            _ => None,
        }
    }

    /// The prices in force at a UNIX time in seconds; the first ones before they begin.
    #[must_use]
    pub fn at(&self, unix_s: u64) -> Option<&Rates> {
        let next = self.0.partition_point(|(from, _)| *from <= unix_s);
        self.0.get(next.saturating_sub(1)).map(|(_, rates)| rates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Usage {
        Usage {
            input_tokens: 1000,
            output_tokens: 100,
            cached_tokens: 300,
            cache_written_tokens: 200,
            cache_written_1h_tokens: 50,
            reasoning_tokens: 40,
            audio_input_tokens: 10,
            audio_output_tokens: 5,
            ..Usage::default()
        }
    }

    #[test]
    fn every_kind_of_token_has_its_price() {
        let rates = Rates::parse("i=10 o=100 c=1 w=12 h=20 r=1000 ai=40 ao=300 req=7").unwrap();
        let cost = rates.cost(&usage(), ServiceTier::Standard).picodollars();
        let expected = 490 * 10 + 10 * 40 + 300 + 150 * 12 + 50 * 20 + 55 * 100 + 40 * 1000;
        assert_eq!(cost, expected + 5 * 300 + 7);
        let plain = Rates::parse("i=10 o=100").unwrap();
        assert_eq!(
            plain.cost(&usage(), ServiceTier::Batch).picodollars(),
            20_000
        );
        assert!(
            plain
                .highest(ServiceTier::Standard, 1000)
                .bound(1000, 100)
                .picodollars()
                >= 20_000
        );
    }

    #[test]
    fn searches_cost_a_fee_beside_the_tokens() {
        let usage = Usage {
            input_tokens: 10,
            pieces: Pieces {
                searches: [1, 2, 3],
                ..Pieces::default()
            },
            ..Usage::default()
        };
        let cost = |prices: &str| {
            let rates = Rates::parse(prices).unwrap();
            rates.cost(&usage, ServiceTier::Batch).picodollars()
        };
        assert_eq!(
            cost("i=1 s0=100 s1=1000 s2=10000"),
            10 + 100 + 2_000 + 30_000
        );
        assert_eq!(cost("i=1 s0=100"), 10 + 600);
        assert_eq!(cost("i=1"), 10);
        let rates = Rates::parse("s0=3 s1=5").unwrap();
        assert_eq!(rates.highest_search(ServiceTier::Standard), 5);
    }

    #[test]
    fn cached_audio_leaves_fresh_text_its_price() {
        let usage = Usage {
            input_tokens: 100,
            cached_tokens: 60,
            audio_input_tokens: 50,
            pieces: Pieces {
                audio_cached_tokens: 40,
                ..Pieces::default()
            },
            ..Usage::default()
        };
        let cost = |prices: &str, usage: &Usage| {
            let rates = Rates::parse(prices).unwrap();
            rates.cost(usage, ServiceTier::Standard).picodollars()
        };
        let (text, audio) = (30 * 10, 10 * 100);
        assert_eq!(
            cost("i=10 ai=100 c=1 ac=5", &usage),
            text + audio + 20 + 200
        );
        assert_eq!(cost("i=10 ai=100 c=1", &usage), text + audio + 60);
        assert_eq!(cost("i=10 ai=100", &usage), text + audio + 200 + 4_000);
        let absurd = Usage {
            cached_tokens: 7,
            audio_input_tokens: 3,
            ..usage
        };
        assert_eq!(cost("i=10 ai=100 c=1 ac=5", &absurd), 93 * 10 + 4 + 15);
    }

    #[test]
    fn pieces_are_billed_where_tokens_are_not() {
        let standard = ServiceTier::Standard;
        let pieces = Pieces {
            images: 2,
            audio_ms: 1_500,
            characters: 10,
            queries: 1,
            ..Pieces::default()
        };
        let cost = |prices: &str, usage: &Usage, pieces: &Pieces| {
            let rates = Rates::parse(prices).unwrap();
            let cost = rates.cost_with(usage, pieces, standard);
            let (input, output) = (usage.input_tokens, usage.output_tokens);
            let tokens = rates.highest(standard, input).bound(input, output);
            let most = tokens + rates.pieces(pieces, standard);
            assert!(cost <= most);
            cost.picodollars()
        };
        let none = Usage::default();
        assert_eq!(cost("img=40", &none, &pieces), 80);
        assert_eq!(
            cost("sec=3", &none, &pieces),
            5,
            "parts of a picodollar round up"
        );
        assert_eq!(cost("chr=7", &none, &pieces), 70);
        assert_eq!(cost("i=0 o=0 qry=2000", &none, &pieces), 2_000);
        let drawn = Usage {
            input_tokens: 10,
            output_tokens: 100,
            ..Usage::default()
        };
        let tokens = Pieces {
            image_input_tokens: 4,
            image_output_tokens: 100,
            ..pieces
        };
        // Neither twice: the image's tokens have a price.
        assert_eq!(
            cost("i=5 ii=10 io=40 img=999", &drawn, &tokens),
            30 + 40 + 4_000
        );
        assert_eq!(cost("i=5 o=20", &drawn, &tokens), 50 + 2_000);
        assert!(Rates::parse("sec=3").unwrap().has_any());
        let each = Rates::parse("req=3").unwrap();
        assert!(each.has_any() && each.has_calls() && !each.has_tokens());
        assert!(!Rates::parse("s0=3").unwrap().has_any());
    }

    #[test]
    fn flat_prices_are_the_same_in_short() {
        let rates = Rates::parse("i=10 o=100 r=1000 i:b=1").unwrap();
        assert_eq!(rates.flat(), Some([10, 10, 100, 1000]));
        assert_eq!(Rates::parse("i=10 i>5=20").unwrap().flat(), None);
        assert_eq!(Rates::parse("i=10 req=1").unwrap().flat(), None);
    }

    #[test]
    fn long_requests_and_tiers_have_their_own_prices() {
        let rates = Rates::parse("i=10 i>200=30 i>500=40 i:b=5 i:b>500=6 o=1").unwrap();
        let price = |tier, length| rates.price(PriceUnit::Input, tier, length);
        assert_eq!(price(ServiceTier::Standard, 200), Some(10));
        assert_eq!(price(ServiceTier::Standard, 201), Some(30));
        assert_eq!(price(ServiceTier::Standard, 501), Some(40));
        assert_eq!(price(ServiceTier::Batch, 201), Some(5));
        assert_eq!(price(ServiceTier::Batch, 501), Some(6));
        assert_eq!(price(ServiceTier::Flex, 201), Some(30));
        assert_eq!(
            rates.price(PriceUnit::Cached, ServiceTier::Standard, 1),
            None
        );
    }

    #[test]
    fn many_requests_are_not_one_long_one() {
        let rates = Rates::parse("i:b=1 i:b>100=10 o=1").unwrap();
        let usage = Usage {
            input_tokens: 1_000,
            ..Usage::default()
        };
        let cost = |rates: &Rates, requests| {
            let (cost, guessed) = rates.cost_of_many(&usage, requests, ServiceTier::Batch);
            (cost.picodollars(), guessed)
        };
        assert_eq!(cost(&rates, Some(1)), (10_000, false));
        assert_eq!(cost(&rates, Some(9)), (10_000, true));
        assert_eq!(cost(&rates, Some(10)), (1_000, true));
        assert_eq!(cost(&rates, None), (1_000, true));
        let short = Rates::parse("i=1 i>1000=10 req=7").unwrap();
        assert_eq!(cost(&short, Some(10)), (1_070, false));
        assert_eq!(cost(&short, None), (1_007, true));
        assert_eq!(cost(&short, Some(0)), (1_000, false));
    }

    #[test]
    fn prices_change_on_their_date() {
        let rates = |price: u64| {
            let mut rates = Rates::default();
            rates.set(PriceUnit::Input, ServiceTier::Standard, 0, price);
            rates
        };
        let mut prices = Prices::default();
        prices.insert(200, rates(2));
        prices.insert(100, rates(1));
        let at = |time| prices.at(time).cloned();
        assert_eq!(
            (at(0), at(150), at(200)),
            (Some(rates(1)), Some(rates(1)), Some(rates(2)))
        );
        assert_eq!(Prices::default().at(0), None);
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let huge = Usage {
            input_tokens: u64::MAX,
            output_tokens: u64::MAX,
            ..Usage::default()
        };
        let rates = Rates::parse("i=18446744073709551615 o=18446744073709551615").unwrap();
        assert_eq!(rates.cost(&huge, ServiceTier::Standard), Money::MAX);
        let odd = Usage {
            cached_tokens: 9,
            reasoning_tokens: 9,
            cache_written_1h_tokens: 9,
            ..Usage::default()
        };
        assert!(rates.cost(&odd, ServiceTier::Standard).picodollars() > 0);
    }
}
