//! Services to generate requests like, and where each of their numbers comes from.
//!
//! Lengths are given as quantiles: `(share of requests, tokens)`, between which lengths are
//! interpolated on a logarithmic scale. They are statistics, computed from the public traces; no
//! trace is copied.
//!
//! # Sources
//! - *Azure 2023*: the traces of Patel et al., "Splitwise" (ISCA 2024), section III-A and figure
//!   3, from github.com/Azure/AzurePublicDataset: conversation (19,366 requests, 18:15:46 to
//!   19:14:08: 5.53/s) and code (8,819 requests in 3,436 s: 2.57/s). The paper gives medians:
//!   conversation 1,020 prompt and 129 output tokens, code 1,500 and 13.
//! - *arXiv*: 28,257 summarisation requests, Agrawal et al., "Vidur" (`MLSys` 2024), processed
//!   trace `arxiv_summarization_stats_llama2_tokenizer_filtered_v2.csv`.
//! - *Mooncake*: `conversation_trace.jsonl` of Qin et al., "Mooncake" (FAST 2025), 30 minutes.
//! - *`ServeGen`*: Xiang et al. (NSDI 2026), clients of the model `m-small`: 18,152 rows of 600 s.
//!
//! The tests in `tests/traces/calibration.rs` compare what is generated with the published
//! medians, and with the traces themselves where they are present.

/// A service whose requests are imitated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// Share of the preset's requests.
    pub(super) ratio: f64,
    /// How its requests arrive.
    pub(super) arrivals: Pattern,
    /// Kinds of requests; their ratios add up to 1.
    pub(super) kinds: &'static [Kind],
    /// Most prompt and output tokens together; longer outputs are cut.
    pub(super) tokens_max: u32,
}

/// How requests arrive: gaps within a stretch of constant rate, and how the rate changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    /// Coefficient of variation of Gamma gaps while the rate stands still.
    pub(super) gap_cv: f64,
    /// Seconds for which a rate stands.
    pub(super) step_s: f64,
    /// Coefficient of variation of the rates (Gamma) from one such stretch to the next.
    pub(super) step_cv: f64,
    /// Swing of the rate over a day, as a share of its mean.
    pub(super) daily_swing: f64,
}

/// Requests with similar lengths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Share of the service's requests.
    pub(super) ratio: f64,
    /// Quantiles of prompt tokens.
    pub(super) prompts: Quantiles,
    /// Quantiles of output tokens, independent of the prompt within one kind.
    pub(super) outputs: Quantiles,
}

/// Quantiles of a length, from share 0 to share 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantiles(&'static [(f64, f64)]);

impl Quantiles {
    /// The length below which the share `uniform` (0..1) lies.
    pub(super) fn at(&self, uniform: f64) -> u32 {
        let after = self.0.partition_point(|&(share, _)| share <= uniform);
        let (low, low_tokens) = self.0[after.saturating_sub(1)];
        let (high, high_tokens) = self.0[after.min(self.0.len() - 1)];
        let part = if high > low { (uniform - low) / (high - low) } else { 0.0 };
        (low_tokens * (high_tokens / low_tokens).powf(part)).round() as u32
    }
}

/// Swing of the rate over a day: root 2 times 0.30, the median over the first seven days of the
/// CV of the total rate within a day (`ServeGen`; 0.21 to 0.34).
const DAILY_SWING: f64 = 0.42;

/// Arrivals of the conversation service. `gap_cv` is the median CV of all `ServeGen` rows (1.26;
/// 71% of which are best described by Gamma, as here). With it, `step_cv` 0.08 at 60 s gives rates
/// that vary like Mooncake's, counting noise taken off: CV 0.17 over 10 s and 0.09 over 60 s.
const CHAT_ARRIVALS: Pattern =
    Pattern { gap_cv: 1.26, step_s: 60.0, step_cv: 0.08, daily_swing: DAILY_SWING };

/// Arrivals of the code service: bursts and silences. Chosen by simulation so that rates vary like
/// those of the Azure code hour, counting noise taken off: CV 2.18 over 1 s, 1.66 over 10 s, 1.04
/// over 60 s, 0.42 over 300 s (generated: 2.1, 1.7, 1.0, 0.4). Its few silences of minutes are not
/// reproduced: the CV of all gaps is 13 there and about 7 here.
const CODE_ARRIVALS: Pattern =
    Pattern { gap_cv: 2.0, step_s: 20.0, step_cv: 2.0, daily_swing: DAILY_SWING };

/// Summarisation has no published arrivals: Poisson at an even rate.
const STEADY_ARRIVALS: Pattern =
    Pattern { gap_cv: 1.0, step_s: 60.0, step_cv: 0.0, daily_swing: 0.0 };

/// Conversation. The Azure conversation trace falls into five kinds of prompts that can be told
/// apart by eye; the quantiles of each are those of the 433 requests from 18:41:12 to 18:42:18. A
/// minute does not have the shares of the hour, so the ratios are chosen to bring both medians
/// to the published 1,020 and 129: .12 .29 .36 .13 .10 (in that minute .06 .37 .24 .16 .18).
const CHAT_KINDS: &[Kind] = &[
    // Short questions.
    Kind {
        ratio: 0.12,
        prompts: Quantiles(&[
            (0.0, 20.0),
            (0.1, 75.0),
            (0.25, 163.0),
            (0.5, 181.0),
            (0.75, 203.0),
            (0.9, 209.0),
            (1.0, 317.0),
        ]),
        outputs: Quantiles(&[
            (0.0, 12.0),
            (0.1, 18.0),
            (0.25, 126.0),
            (0.5, 161.0),
            (0.75, 183.0),
            (0.9, 217.0),
            (1.0, 290.0),
        ]),
    },
    // A short fixed prompt with a brief answer.
    Kind {
        ratio: 0.29,
        prompts: Quantiles(&[
            (0.0, 366.0),
            (0.1, 374.0),
            (0.25, 379.0),
            (0.5, 393.0),
            (0.75, 407.0),
            (0.9, 422.0),
            (1.0, 459.0),
        ]),
        outputs: Quantiles(&[
            (0.0, 15.0),
            (0.1, 57.0),
            (0.25, 71.0),
            (0.5, 86.0),
            (0.75, 101.0),
            (0.9, 115.0),
            (1.0, 189.0),
        ]),
    },
    // A longer prompt with a long answer: the upper mode of the outputs in the paper's figure 3.
    Kind {
        ratio: 0.36,
        prompts: Quantiles(&[
            (0.0, 879.0),
            (0.1, 951.0),
            (0.25, 1049.0),
            (0.5, 1116.0),
            (0.75, 1168.0),
            (0.9, 1209.0),
            (1.0, 1273.0),
        ]),
        outputs: Quantiles(&[
            (0.0, 370.0),
            (0.1, 394.0),
            (0.25, 400.0),
            (0.5, 416.0),
            (0.75, 442.0),
            (0.9, 565.0),
            (1.0, 659.0),
        ]),
    },
    // Growing context with brief answers.
    Kind {
        ratio: 0.13,
        prompts: Quantiles(&[
            (0.0, 935.0),
            (0.1, 1080.0),
            (0.25, 1276.0),
            (0.5, 1559.0),
            (0.75, 2234.0),
            (0.9, 2681.0),
            (1.0, 3306.0),
        ]),
        outputs: Quantiles(&[
            (0.0, 26.0),
            (0.1, 44.0),
            (0.25, 50.0),
            (0.5, 72.0),
            (0.75, 93.0),
            (0.9, 163.0),
            (1.0, 257.0),
        ]),
    },
    // Context cut at 4,096 tokens.
    Kind {
        ratio: 0.10,
        prompts: Quantiles(&[
            (0.0, 4071.0),
            (0.1, 4075.0),
            (0.25, 4079.0),
            (0.5, 4086.0),
            (0.75, 4095.0),
            (0.9, 4123.0),
            (1.0, 6781.0),
        ]),
        outputs: Quantiles(&[
            (0.0, 26.0),
            (0.1, 32.0),
            (0.25, 41.0),
            (0.5, 56.0),
            (0.75, 80.0),
            (0.9, 139.0),
            (1.0, 246.0),
        ]),
    },
];

/// Code completion: quantiles of the Azure code trace (all 8,819 requests). Prompt and output are
/// not correlated there (-0.005, of logarithms).
const CODE_KINDS: &[Kind] = &[Kind {
    ratio: 1.0,
    prompts: Quantiles(&[
        (0.0, 3.0),
        (0.01, 17.0),
        (0.05, 75.0),
        (0.1, 147.0),
        (0.25, 578.0),
        (0.5, 1469.0),
        (0.75, 2745.0),
        (0.9, 5194.0),
        (0.925, 6097.0),
        (0.94, 6585.0),
        (0.95, 7315.0),
        (0.99, 7436.0),
        (1.0, 7437.0),
    ]),
    outputs: Quantiles(&[
        (0.0, 6.0),
        (0.05, 6.0),
        (0.1, 7.0),
        (0.25, 9.0),
        (0.5, 13.0),
        (0.75, 24.0),
        (0.9, 55.0),
        (0.95, 90.0),
        (0.99, 252.0),
        (0.999, 831.0),
        (1.0, 1899.0),
    ]),
}];

/// Summarisation: quantiles of the arXiv trace, apart for outputs up to 600 tokens and above,
/// since long outputs go with short prompts (their sum was cut at 4,096).
const SUMMARISATION_KINDS: &[Kind] = &[
    Kind {
        ratio: 0.944,
        prompts: Quantiles(&[
            (0.0, 1.0),
            (0.01, 643.0),
            (0.05, 1134.0),
            (0.1, 1492.0),
            (0.25, 2096.0),
            (0.5, 2793.0),
            (0.75, 3401.0),
            (0.9, 3715.0),
            (0.99, 3936.0),
            (1.0, 4054.0),
        ]),
        outputs: Quantiles(&[
            (0.0, 5.0),
            (0.01, 35.0),
            (0.05, 59.0),
            (0.1, 76.0),
            (0.25, 112.0),
            (0.5, 161.0),
            (0.75, 225.0),
            (0.9, 304.0),
            (0.95, 366.0),
            (0.99, 491.0),
            (1.0, 600.0),
        ]),
    },
    Kind {
        ratio: 0.056,
        prompts: Quantiles(&[
            (0.0, 1.0),
            (0.01, 1.0),
            (0.05, 18.0),
            (0.1, 38.0),
            (0.25, 131.0),
            (0.5, 477.0),
            (0.75, 1327.0),
            (0.9, 2525.0),
            (1.0, 3459.0),
        ]),
        outputs: Quantiles(&[
            (0.0, 601.0),
            (0.05, 649.0),
            (0.1, 726.0),
            (0.25, 1135.0),
            (0.5, 2331.0),
            (0.75, 3036.0),
            (0.9, 3544.0),
            (0.95, 3725.0),
            (1.0, 4056.0),
        ]),
    },
];

/// Longest context of the models behind the Azure traces, as far as the traces show: prompts end
/// at 7,437, and 8,192 is the next window size a model has.
const AZURE_TOKENS_MAX: u32 = 8_192;

/// The arXiv trace was cut at 4,096 tokens in all.
const ARXIV_TOKENS_MAX: u32 = 4_096;

/// Requests a second of the Azure conversation trace.
pub(super) const CHAT_RATE_PER_S: f64 = 5.53;

/// Requests a second of the Azure code trace.
pub(super) const CODE_RATE_PER_S: f64 = 2.57;

/// Requests a second where no public arrivals exist; any number would do, loads are rescaled.
pub(super) const SUMMARISATION_RATE_PER_S: f64 = 1.0;

const fn chat(ratio: f64) -> Service {
    let (arrivals, tokens_max) = (CHAT_ARRIVALS, AZURE_TOKENS_MAX);
    Service { ratio, arrivals, kinds: CHAT_KINDS, tokens_max }
}

const fn code(ratio: f64) -> Service {
    let (arrivals, tokens_max) = (CODE_ARRIVALS, AZURE_TOKENS_MAX);
    Service { ratio, arrivals, kinds: CODE_KINDS, tokens_max }
}

/// The conversation service alone.
pub(super) const CHAT: &[Service] = &[chat(1.0)];

/// The code service alone.
pub(super) const CODE: &[Service] = &[code(1.0)];

/// Both, in the ratio of their requests in the same hour: 19,366 to 8,819.
pub(super) const MIXED: &[Service] = &[chat(0.687), code(0.313)];

/// Summarisation of papers.
pub(super) const SUMMARISATION: &[Service] = &[Service {
    ratio: 1.0,
    arrivals: STEADY_ARRIVALS,
    kinds: SUMMARISATION_KINDS,
    tokens_max: ARXIV_TOKENS_MAX,
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_rise_and_ratios_add_up() {
        for preset in [CHAT, CODE, MIXED, SUMMARISATION] {
            let services: f64 = preset.iter().map(|service| service.ratio).sum();
            assert!((services - 1.0).abs() < 1e-9);
            for service in preset {
                let kinds: f64 = service.kinds.iter().map(|kind| kind.ratio).sum();
                assert!((kinds - 1.0).abs() < 1e-9);
                for kind in service.kinds {
                    for Quantiles(points) in [kind.prompts, kind.outputs] {
                        assert_eq!((points[0].0, points[points.len() - 1].0), (0.0, 1.0));
                        let rising = |pair: &[(f64, f64)]| {
                            pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1 && pair[0].1 >= 1.0
                        };
                        assert!(points.windows(2).all(rising), "{points:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn quantiles_are_met_at_their_points_and_between() {
        let quantiles = CODE_KINDS[0].prompts;
        assert_eq!(quantiles.at(0.0), 3);
        assert_eq!(quantiles.at(0.5), 1469);
        assert_eq!(quantiles.at(0.999_999), 7437);
        // Half way between two points: their geometric mean.
        assert_eq!(quantiles.at(0.625), (1469.0_f64 * 2745.0).sqrt().round() as u32);
    }
}
