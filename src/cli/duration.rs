//! How long something stays, as people write it: `90d`, `12h`, `none` for ever.

/// Seconds; none: for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept(pub Option<i64>);

/// A hundred years: what lies beyond is `none`.
const SECONDS_MAX: i64 = 100 * 366 * 86_400;

/// As people write it: in the largest unit that it is a whole number of.
pub fn text(seconds: i64) -> String {
    let (unit_s, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')].into_iter().find(|(unit_s, _)| seconds % unit_s == 0).unwrap_or((1, 's'));
    format!("{}{unit}", seconds / unit_s)
}

pub fn kept(text: &str) -> Result<Kept, String> {
    if text == "none" {
        return Ok(Kept(None));
    }
    let form = "`none`, or a number with s, m, h or d, such as 90d";
    let unit = text.chars().last().ok_or(form)?;
    let unit_s = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(form.into()),
    };
    let seconds = text[..text.len() - unit.len_utf8()].parse::<u32>().map_err(|_| form)?;
    let seconds = i64::from(seconds) * unit_s;
    if seconds > SECONDS_MAX { Err("more than a hundred years: `none` is for ever".into()) } else { Ok(Kept(Some(seconds))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(kept("none"), Ok(Kept(None)));
        assert_eq!(kept("90d"), Ok(Kept(Some(7_776_000))));
        assert_eq!(kept("12h"), Ok(Kept(Some(43_200))));
        assert_eq!(kept("0s"), Ok(Kept(Some(0))));
        for text in ["90d", "12h", "90m", "61s"] {
            assert_eq!(kept(text).map(|kept| kept.0.map(super::text)), Ok(Some(text.to_owned())));
        }
        for wrong in ["", "d", "90", "-1d", "1.5h", "99999999999d", "40000d", "9é"] {
            assert!(kept(wrong).is_err(), "{wrong}");
        }
    }
}
