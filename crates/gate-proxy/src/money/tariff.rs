//! What one provider's model costs, and how much it takes.

use gate_ai::Usage;
use gate_ai::prices::{Highest, PriceUnit, Prices, Rates, ServiceTier, model_facts};
use gate_ai::tokenizer::ModelTokenizer;
use gate_ai::tokens::{Reach, input_bound};
use gate_flow::{AiFacts, Tariff};
use gate_kit::clock::Clock;
use gate_model::resources::{Price, TokenKind, TokenPrice};
use gate_model::units::{Money, Pieces};

/// Output tokens of a call where neither the request nor the catalogue bounds them.
const OUTPUT_MAX: u64 = 131_072;
/// Tokens of a price in configuration.
const MILLION: i64 = 1_000_000;

/// What one provider's model costs, and how much it takes.
#[derive(Debug, Default)]
pub struct ModelTariff {
    prices: Option<Prices>,
    /// Prices of input, cached input, output and thinking, where nothing else matters.
    flat: Option<[u64; 4]>,
    /// The highest prices of each tier, where nothing else matters.
    highest: Option<[Highest; 2]>,
    /// Whether each call makes the provider search, for a fee.
    searches: bool,
    input_max: Option<u64>,
    output_max: Option<u64>,
    /// For prices that change on a day.
    clock: Clock,
    /// Counts exactly what this model reads.
    tokenizer: Option<ModelTokenizer>,
}

impl ModelTariff {
    /// The tariff of a kind of provider's model: `own` prices, else the catalogue's.
    ///
    /// # Errors
    /// A sentence about the first price that cannot be kept exactly.
    pub fn new(
        kind: &str,
        model: &str,
        own: Option<&[Price]>,
        clock: &Clock,
    ) -> Result<Self, String> {
        let facts = model_facts(kind, model).unwrap_or_default();
        let prices = match own {
            Some(own) => Some(prices(own)?),
            None => facts.prices,
        };
        let now = clock.unix().as_secs();
        let counts = |prices: &Prices| prices.at(now).is_some_and(Rates::has_any);
        let prices = prices.filter(counts);
        let unchanging = prices.as_ref().and_then(Prices::unchanging);
        let searches = kind == "perplexity";
        Ok(Self {
            searches,
            flat: unchanging.filter(|r| r.has_tokens()).and_then(Rates::flat),
            highest: unchanging
                .filter(|rates| !rates.depends_on_length())
                .map(|rates| highest(rates, 0, searches)),
            prices,
            input_max: facts.input_tokens_max,
            output_max: facts.output_tokens_max,
            clock: clock.clone(),
            tokenizer: None,
        })
    }

    /// The same with the model's tokenizer, where there is one.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Option<ModelTokenizer>) -> Self {
        self.tokenizer = tokenizer;
        self
    }

    /// The model's tokenizer, where there is one.
    #[must_use]
    pub const fn tokenizer(&self) -> Option<&ModelTokenizer> {
        self.tokenizer.as_ref()
    }

    /// Whether calls have a price.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.prices.is_some()
    }

    /// Whether prices change on a day.
    #[must_use]
    pub fn changes(&self) -> bool {
        let prices = self.prices.as_ref();
        prices.is_some_and(|prices| prices.unchanging().is_none())
    }

    /// The usual prices of a million tokens, in dollars, to compare providers by; never to bill.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a comparison needs no exact price"
    )]
    pub fn per_million(&self) -> Option<TokenPrice> {
        let rates = self.rates()?;
        let price = |unit| rates.price(unit, ServiceTier::Standard, 0);
        let dollars = |picodollars: u64| picodollars as f64 / MILLION as f64;
        Some(TokenPrice {
            input: dollars(price(PriceUnit::Input)?),
            output: dollars(price(PriceUnit::Output).unwrap_or(0)),
        })
    }

    /// The most tokens of input and output that a request can come to here: `None` for input that
    /// nothing bounds. `body` is the request's length and reach, where it has been read whole.
    #[must_use]
    pub fn tokens(
        &self,
        body: Option<(usize, Reach)>,
        max_tokens: Option<u64>,
    ) -> (Option<u64>, u64) {
        let (input, answers) = match body {
            Some((bytes, reach)) => (input_bound(bytes, reach, self.input_max), reach.answers),
            None => (self.input_max, 1),
        };
        let most = self.output_max.unwrap_or(OUTPUT_MAX);
        let output = max_tokens.map_or(most, |asked| match self.output_max {
            Some(most) => asked.min(most),
            None => asked,
        });
        (input, output.saturating_mul(answers))
    }

    /// The most that so many tokens and pieces can cost; without bound where there is no price.
    #[must_use]
    pub fn bound(&self, input: Option<u64>, output: u64, pieces: Option<&Pieces>) -> Money {
        if let Some(pieces) = pieces {
            return self.bound_with(input, output, pieces);
        }
        let Some(input) = input.or_else(|| self.input_is_free().then_some(0)) else {
            return Money::MAX;
        };
        let known = self.highest;
        let tiers = known.or_else(|| {
            self.rates()
                .map(|rates| highest(rates, input, self.searches))
        });
        let bounds = tiers.map(|tiers| tiers.map(|tier| tier.bound(input, output)));
        bounds.into_iter().flatten().max().unwrap_or(Money::MAX)
    }

    /// What requests of this tier cost that came to this usage together, and whether that is a
    /// guess; `None` without a price. See [`Rates::cost_of_many`].
    #[must_use]
    pub fn cost_of_many(
        &self,
        usage: &Usage,
        requests: Option<u64>,
        tier: ServiceTier,
    ) -> Option<(Money, bool)> {
        let rates = self.rates().filter(|rates| rates.has_calls())?;
        Some(rates.cost_of_many(usage, requests, tier))
    }

    /// Whether requests have a price that does not depend on what is in them.
    fn input_is_free(&self) -> bool {
        let rates = self.rates().filter(|rates| rates.has_calls());
        let free = |rates: &Rates| {
            highest(rates, u64::MAX, false)
                .iter()
                .all(|one| one.input == 0)
        };
        rates.is_some_and(free)
    }

    fn bound_with(&self, input: Option<u64>, output: u64, pieces: &Pieces) -> Money {
        let Some(rates) = self.rates() else {
            return Money::MAX;
        };
        let Some(input) = input.or_else(|| (!rates.has_tokens()).then_some(0)) else {
            return Money::MAX;
        };
        let tiers = [ServiceTier::Standard, ServiceTier::Priority];
        let bounds = tiers.map(|tier| {
            let tokens = rates.highest(tier, input).bound(input, output);
            let all = tokens.picodollars();
            all.saturating_add(rates.pieces(pieces, tier).picodollars())
        });
        let most = bounds.into_iter().max();
        most.map_or(Money::MAX, Money::from_picodollars)
    }

    /// The prices in force now; the clock is asked only where they change.
    fn rates(&self) -> Option<&Rates> {
        let prices = self.prices.as_ref()?;
        prices
            .unchanging()
            .or_else(|| prices.at(self.clock.unix().as_secs()))
    }
}

/// The highest prices of the tiers that a caller can choose, the fee for a search among them where
/// each call comes with one.
fn highest(rates: &Rates, input_tokens: u64, searches: bool) -> [Highest; 2] {
    [ServiceTier::Standard, ServiceTier::Priority].map(|tier| {
        let mut highest = rates.highest(tier, input_tokens);
        if searches {
            let fee = rates.highest_search(tier);
            highest.request = highest.request.saturating_add(fee);
        }
        highest
    })
}

/// The counts of a record as usage; `None` when nothing was counted.
#[must_use]
pub fn usage_of(facts: &AiFacts) -> Option<Usage> {
    if facts.input_tokens.is_none() && facts.output_tokens.is_none() {
        return None;
    }
    Some(Usage {
        input_tokens: facts.input_tokens.unwrap_or(0),
        output_tokens: facts.output_tokens.unwrap_or(0),
        cached_tokens: facts.cached_tokens.unwrap_or(0),
        cache_written_tokens: facts.cache_written_tokens.unwrap_or(0),
        cache_written_1h_tokens: facts.cache_written_hour_tokens,
        reasoning_tokens: facts.reasoning_tokens.unwrap_or(0),
        audio_input_tokens: facts.audio_input_tokens,
        audio_output_tokens: facts.audio_output_tokens,
        pieces: facts.pieces.as_deref().copied().unwrap_or_default(),
    })
}

impl Tariff for ModelTariff {
    // Once per call, when it has ended.
    fn cost(&self, facts: &AiFacts) -> Option<Money> {
        if let Some(pieces) = &facts.pieces {
            let usage = usage_of(facts).unwrap_or_default();
            let rates = self.rates()?;
            return Some(rates.cost_with(&usage, pieces, facts.service_tier));
        }
        if let Some(flat) = &self.flat
            && facts.service_tier == ServiceTier::Standard
            && let Some(cost) = flat_cost(flat, facts)
        {
            return Some(cost);
        }
        let usage = usage_of(facts)?;
        let rates = self.rates()?;
        let cost = || rates.cost(&usage, facts.service_tier);
        rates.has_calls().then(cost)
    }
}

/// The cost of the usual kinds of tokens; `None` when there are others, or a sum that is absurd.
fn flat_cost(&[input, cached, output, thinking]: &[u64; 4], facts: &AiFacts) -> Option<Money> {
    let plain = facts.cache_written_tokens.unwrap_or(0) == 0
        && facts.audio_input_tokens == 0
        && facts.audio_output_tokens == 0;
    let (read, written) = (facts.input_tokens?, facts.output_tokens?);
    let from_cache = facts.cached_tokens.unwrap_or(0);
    let thought = facts.reasoning_tokens.unwrap_or(0);
    let fresh = read.checked_sub(from_cache)?;
    let said = written.checked_sub(thought)?;
    let parts = [
        (fresh, input),
        (from_cache, cached),
        (said, output),
        (thought, thinking),
    ];
    let total = parts.iter().try_fold(0_u64, |sum, (tokens, price)| {
        sum.checked_add(tokens.checked_mul(*price)?)
    })?;
    let total = i64::try_from(total).ok()?;
    plain.then_some(Money::from_picodollars(total))
}

/// Prices over time: what an entry says replaces what the entries before its date say, and what it
/// leaves out stays.
fn prices(own: &[Price]) -> Result<Prices, String> {
    let from = |price: &Price| price.from.map_or(0, gate_model::units::Timestamp::unix_s);
    let mut dated: std::collections::BTreeMap<u64, Vec<&Price>> = std::collections::BTreeMap::new();
    for price in own {
        dated.entry(from(price)).or_default().push(price);
    }
    let (mut prices, mut rates) = (Prices::default(), Rates::default());
    for (from, changes) in dated {
        for price in changes {
            change(&mut rates, price)?;
        }
        prices.insert(from, rates.clone());
    }
    Ok(prices)
}

/// Changes the rates that a price names.
fn change(rates: &mut Rates, price: &Price) -> Result<(), String> {
    let (tier, above) = (price.tier, price.above_input_tokens);
    for (kind, money) in &price.per_million {
        let whole = money.picodollars() / MILLION;
        if whole * MILLION != money.picodollars() {
            return Err(format!(
                "{money} dollars per million tokens is finer than a picodollar per token"
            ));
        }
        let whole = u64::try_from(whole).unwrap_or(0);
        rates.set(unit(*kind), tier, above, whole);
    }
    for (unit, money) in [
        (PriceUnit::Request, price.per_request),
        (PriceUnit::Image, price.per_image),
        (PriceUnit::Second, price.per_second),
        (PriceUnit::Character, price.per_character),
        (PriceUnit::Query, price.per_query),
        (PriceUnit::SearchSmall, price.per_search),
        (PriceUnit::SearchMedium, price.per_search),
        (PriceUnit::SearchLarge, price.per_search),
    ] {
        if let Some(money) = money {
            let whole = u64::try_from(money.picodollars()).unwrap_or(0);
            rates.set(unit, tier, above, whole);
        }
    }
    Ok(())
}

const fn unit(kind: TokenKind) -> PriceUnit {
    match kind {
        TokenKind::Input => PriceUnit::Input,
        TokenKind::Output => PriceUnit::Output,
        TokenKind::Cached => PriceUnit::Cached,
        TokenKind::CacheWrite => PriceUnit::Written,
        TokenKind::CacheWriteHour => PriceUnit::WrittenHour,
        TokenKind::Reasoning => PriceUnit::Reasoning,
        TokenKind::AudioInput => PriceUnit::AudioInput,
        TokenKind::AudioOutput => PriceUnit::AudioOutput,
        TokenKind::AudioCached => PriceUnit::AudioCached,
        TokenKind::ImageInput => PriceUnit::ImageInput,
        TokenKind::ImageOutput => PriceUnit::ImageOutput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(per_million: &[(TokenKind, &str)]) -> Price {
        let money = |(kind, text): &(TokenKind, &str)| (*kind, text.parse().unwrap());
        Price {
            per_million: per_million.iter().map(money).collect(),
            ..Price::default()
        }
    }

    #[test]
    fn own_prices_replace_the_catalogues() {
        let price = own(&[(TokenKind::Input, "2"), (TokenKind::Output, "8.5")]);
        let tariff = ModelTariff::new("openai", "gpt-4o", Some(&[price]), &Clock::System).unwrap();
        let facts = AiFacts {
            input_tokens: Some(1_000),
            output_tokens: Some(10),
            ..AiFacts::default()
        };
        assert_eq!(tariff.cost(&facts).unwrap().to_string(), "0.002085");
        let (input, output) = tariff.tokens(Some((2, gate_ai::tokens::reach(b"{}"))), None);
        assert_eq!((input, output), (Some(2_050), 16_384));
        assert!(tariff.bound(input, output, None) > tariff.cost(&facts).unwrap());
        let listed = ModelTariff::new("openai", "gpt-4o", None, &Clock::System).unwrap();
        let prices = listed.per_million().unwrap();
        assert!((prices.input - 2.5).abs() < 1e-9 && (prices.output - 10.0).abs() < 1e-9);
        assert_eq!(listed.cost(&facts).unwrap().to_string(), "0.0026");
        let fine = own(&[(TokenKind::Input, "0.0000001")]);
        assert!(ModelTariff::new("openai", "x", Some(&[fine]), &Clock::System).is_err());
    }

    #[test]
    fn a_tier_has_its_own_prices_where_there_are_any() {
        let usual = own(&[(TokenKind::Input, "2"), (TokenKind::Output, "8")]);
        let batch = Price {
            tier: ServiceTier::Batch,
            ..own(&[(TokenKind::Input, "1")])
        };
        let tariff = ModelTariff::new("openai", "x", Some(&[usual, batch]), &Clock::System);
        let listed = ModelTariff::new("openai", "gpt-5", None, &Clock::System);
        for (tariff, costs) in [
            (tariff.unwrap(), ["0.0028", "0.0018", "0.0028"]),
            (listed.unwrap(), ["0.00225", "0.001125", "0.001125"]),
        ] {
            let tiers = [ServiceTier::Standard, ServiceTier::Batch, ServiceTier::Flex];
            for (tier, cost) in tiers.into_iter().zip(costs) {
                let facts = AiFacts {
                    input_tokens: Some(1_000),
                    output_tokens: Some(100),
                    service_tier: tier,
                    ..AiFacts::default()
                };
                assert_eq!(tariff.cost(&facts).unwrap().to_string(), cost, "{tier:?}");
            }
        }
    }

    #[test]
    fn what_a_later_price_leaves_out_stays_as_it_was() {
        let (clock, hands) = Clock::manual();
        let first = Price {
            per_request: Some("1".parse().unwrap()),
            ..own(&[(TokenKind::Input, "2"), (TokenKind::Output, "8")])
        };
        let second = Price {
            from: Some("1970-01-02".parse().unwrap()),
            ..own(&[(TokenKind::Input, "1")])
        };
        let third = Price {
            from: Some("1970-01-03".parse().unwrap()),
            tier: ServiceTier::Batch,
            per_request: Some(Money::ZERO),
            ..own(&[(TokenKind::Output, "4")])
        };
        // In whatever order they are written.
        let tariff = ModelTariff::new("openai", "x", Some(&[third, second, first]), &clock);
        let tariff = tariff.unwrap();
        assert!(tariff.changes());
        let costs = || {
            let of = |service_tier| {
                let facts = AiFacts {
                    input_tokens: Some(1_000),
                    output_tokens: Some(100),
                    service_tier,
                    ..AiFacts::default()
                };
                tariff.cost(&facts).unwrap().to_string()
            };
            let input = tariff.per_million().unwrap().input;
            let costs = [of(ServiceTier::Standard), of(ServiceTier::Batch)];
            let most = tariff.bound(Some(1_000), 100, None);
            assert!(most >= costs[0].parse().unwrap());
            (costs, format!("{input:.1}"))
        };
        let expected = |standard: &str, batch: &str, input: &str| {
            ([standard.to_owned(), batch.to_owned()], input.to_owned())
        };
        let day = std::time::Duration::from_secs(86_400);
        assert_eq!(costs(), expected("1.0028", "1.0028", "2.0"));
        hands.advance(day);
        assert_eq!(costs(), expected("1.0018", "1.0018", "1.0"));
        hands.advance(day);
        assert_eq!(costs(), expected("1.0018", "0.0014", "1.0"));
    }

    #[test]
    fn searches_are_reserved_where_each_call_has_one() {
        let sonar = ModelTariff::new("perplexity", "sonar", None, &Clock::System).unwrap();
        let facts = AiFacts {
            input_tokens: Some(1_000),
            output_tokens: Some(100),
            pieces: Some(Box::new(Pieces {
                searches: [0, 0, 1],
                ..Pieces::default()
            })),
            ..AiFacts::default()
        };
        let cost = sonar.cost(&facts).unwrap();
        assert_eq!(cost.to_string(), "0.0131");
        assert!(sonar.bound(Some(1_000), 100, None) >= cost);
        let own = Price {
            per_search: Some("0.5".parse().unwrap()),
            ..own(&[(TokenKind::Input, "1")])
        };
        let own = ModelTariff::new("anthropic", "x", Some(&[own]), &Clock::System).unwrap();
        assert_eq!(own.cost(&facts).unwrap().to_string(), "0.501");
    }

    #[test]
    fn requests_and_pieces_have_prices_of_ones_own() {
        let dollars = |text: &str| Some(text.parse::<Money>().unwrap());
        let price = Price {
            per_request: dollars("0.5"),
            per_image: dollars("0.04"),
            per_second: dollars("0.0001"),
            per_character: dollars("0.000015"),
            per_query: dollars("0.002"),
            ..Price::default()
        };
        let tariff = ModelTariff::new("openai", "x", Some(&[price]), &Clock::System).unwrap();
        assert!(tariff.is_known());
        let counted = AiFacts {
            input_tokens: Some(1_000),
            output_tokens: Some(10),
            ..AiFacts::default()
        };
        assert_eq!(tariff.cost(&counted).unwrap().to_string(), "0.5");
        for input in [None, Some(9)] {
            assert_eq!(tariff.bound(input, 9, None).to_string(), "0.5");
        }
        let pieces = Pieces {
            images: 2,
            audio_ms: 1_500,
            characters: 100,
            queries: 3,
            ..Pieces::default()
        };
        let facts = AiFacts {
            pieces: Some(Box::new(pieces)),
            ..AiFacts::default()
        };
        let cost = tariff.cost(&facts).unwrap();
        assert_eq!(cost.to_string(), "0.58765");
        assert!(tariff.bound(None, 0, Some(&pieces)) >= cost);
    }

    #[test]
    fn tokens_of_images_and_cached_audio_have_prices_of_ones_own() {
        let price = own(&[
            (TokenKind::Input, "1"),
            (TokenKind::Output, "2"),
            (TokenKind::AudioCached, "3"),
            (TokenKind::ImageInput, "10"),
            (TokenKind::ImageOutput, "20"),
        ]);
        let tariff = ModelTariff::new("openai", "x", Some(&[price]), &Clock::System).unwrap();
        let facts = AiFacts {
            input_tokens: Some(1_000),
            output_tokens: Some(100),
            cached_tokens: Some(50),
            audio_input_tokens: 50,
            pieces: Some(Box::new(Pieces {
                image_input_tokens: 100,
                image_output_tokens: 90,
                audio_cached_tokens: 50,
                ..Pieces::default()
            })),
            ..AiFacts::default()
        };
        // 850 of text and 100 of images read, 50 cached, 10 of text and 90 of images written.
        assert_eq!(tariff.cost(&facts).unwrap().to_string(), "0.00382");
    }

    #[test]
    fn the_short_way_comes_to_the_same() {
        let tariff = ModelTariff::new("openai", "gpt-4o-mini", None, &Clock::System).unwrap();
        let slow = ModelTariff {
            flat: None,
            highest: None,
            ..ModelTariff::new("openai", "gpt-4o-mini", None, &Clock::System).unwrap()
        };
        assert!(tariff.flat.is_some() && tariff.highest.is_some());
        for counts in [
            [0, 0, 0, 0],
            [1000, 300, 70, 20],
            [5, 9, 1, 3],
            [u64::MAX, 0, 1, 0],
        ] {
            let [input, cached, output, thought] = counts;
            let facts = AiFacts {
                input_tokens: Some(input),
                cached_tokens: Some(cached),
                output_tokens: Some(output),
                reasoning_tokens: Some(thought),
                ..AiFacts::default()
            };
            assert_eq!(tariff.cost(&facts), slow.cost(&facts), "{counts:?}");
            let bound = tariff.bound(Some(input), output, None);
            assert_eq!(bound, slow.bound(Some(input), output, None), "{counts:?}");
            assert!(bound >= slow.cost(&facts).unwrap(), "{counts:?}");
        }
    }

    #[test]
    fn without_a_price_nothing_is_affordable() {
        let tariff = ModelTariff::new("openai", "no-such-model", None, &Clock::System).unwrap();
        assert!(!tariff.is_known() && tariff.bound(Some(1), 1, None) == Money::MAX);
        let with = AiFacts {
            input_tokens: Some(1),
            ..AiFacts::default()
        };
        assert_eq!(tariff.cost(&with), None);
        assert_eq!(tariff.cost(&AiFacts::default()), None);
    }
}
