//! The rows of a community that move with the watermark, and its responses.

use eddy_schemas::Cell;

use super::super::{COHORTS, COMMUNITY_ACTIVITY, COMMUNITY_WEEK, RESPONSES, USER_STATES};
use super::{Map, Recount, Set, int, maybe};

const DAY_S: i64 = 86_400;
/// 1970 began on a Thursday, three days after a Monday.
const MONDAY_H: u32 = 3 * 24;

impl Recount<'_> {
    /// The day of the watermark.
    fn today(&self) -> Option<u32> {
        self.watermark.and_then(|watermark| u32::try_from(watermark / DAY_S).ok())
    }

    /// `hours`: messages of each.
    pub(super) async fn week(&mut self, key: Cell, hours: &Map<u32, u64>) {
        let Some(today) = self.today() else { return };
        let mut of_week: Map<u32, u64> = Map::default();
        for (hour, messages) in hours {
            self.step().await;
            let day = hour / 24;
            if day < today && day + 28 >= today {
                *of_week.entry((hour + MONDAY_H) % 168).or_default() += messages;
            }
        }
        for (hour, messages) in of_week {
            self.push(COMMUNITY_WEEK, vec![key, int(hour), int(messages)]);
        }
    }

    /// `seconds`: to the first response of each post that has one.
    pub(super) async fn responses(&mut self, key: Cell, posts: &[u32], seconds: &Map<u32, u32>) {
        let mut days: Map<u32, (u64, Vec<u32>)> = Map::default();
        for post in posts {
            self.step().await;
            let day = days.entry(self.facts.slot(*post).created_at / 86_400).or_default();
            day.0 += 1;
            day.1.extend(seconds.get(post).filter(|seconds| **seconds <= 86_400));
        }
        for (day, (posts, mut in_time)) in days {
            in_time.sort_unstable();
            let rank = |tenths: usize| maybe((in_time.len() * tenths).div_ceil(10).checked_sub(1).map(|at| in_time[at]));
            let row = vec![key, int(day), int(posts), int(in_time.len()), rank(5), rank(9)];
            self.push(RESPONSES, row);
        }
    }

    /// What follows from the days on which each user posted: `community_activity`, `user_states`, `cohorts`.
    pub(super) async fn activity(&mut self, key: Cell, user_days: &Set<(u32, u32)>) {
        let Some(today) = self.today() else { return };
        // Of each user the first day, and whether there is one in the last 1, 7, 30, and in the 30 before those.
        let mut users: Map<u32, (u32, [bool; 4])> = Map::default();
        for (day, user) in user_days {
            self.step().await;
            let (first, posted) = users.entry(*user).or_insert((*day, [false; 4]));
            *first = (*first).min(*day);
            if let Some(ago) = today.checked_sub(*day) {
                for (posted, window) in posted.iter_mut().zip([0..1, 0..7, 0..30, 30..60]) {
                    *posted |= window.contains(&ago);
                }
            }
        }
        let (mut active, mut states, mut cohorts) = ([0u64; 3], [0u64; 5], Map::<u32, [u64; 4]>::default());
        for (user, (first, posted)) in &users {
            self.step().await;
            (0..3).for_each(|window| active[window] += u64::from(posted[window]));
            let state = match (posted[2], posted[3]) {
                (true, _) if first + 29 >= today => 0,
                (true, true) => 1,
                (true, false) => 2,
                (false, true) => 3,
                (false, false) => 4,
            };
            states[state] += 1;
            let cohort = cohorts.entry(*first).or_default();
            cohort[0] += 1;
            for (back, after) in [1, 7, 30].into_iter().enumerate() {
                cohort[back + 1] += u64::from(user_days.contains(&(first + after, *user)));
            }
        }
        if active[2] > 0 {
            self.push(COMMUNITY_ACTIVITY, vec![key, int(today), int(active[0]), int(active[1]), int(active[2])]);
        }
        if !users.is_empty() {
            self.push(USER_STATES, [key].into_iter().chain(states.map(int)).collect());
        }
        for (day, [size, back @ ..]) in cohorts {
            let over = |after: u32, count: u64| if today > day + after { int(count) } else { Cell::Null };
            self.push(COHORTS, vec![key, int(day), int(size), over(1, back[0]), over(7, back[1]), over(30, back[2])]);
        }
    }
}
