//! Every view from scratch, by sorting: of each what interface.md says, over all rows of a [`Recount`].
//!
//! Groups are runs of sorted numbers, made of the numbers of names and hours: `community | day | user` and the like.

use std::cmp::Reverse;
use std::ops::Range;

use super::recount::{NO_DEPTH, NONE, NULL, Names, Recount, Row};
use super::sums::Field::{self, Int, Null};

type Emit<'a> = &'a mut dyn FnMut(&[Field]);
type Of = fn(&Recount, Emit);

pub const VIEWS: [(&str, Of); 18] = [
    ("users", users),
    ("conversations", conversations),
    ("communities", communities),
    ("user_hours", user_hours),
    ("community_hours", community_hours),
    ("community_days", community_days),
    ("sessions", sessions),
    ("top_users", top_users),
    ("replies", replies),
    ("messages", messages),
    ("user_names", user_names),
    ("community_names", community_names),
    ("community_activity", community_activity),
    ("community_week", community_week),
    ("responses", responses),
    ("unanswered", unanswered),
    ("user_states", user_states),
    ("cohorts", cohorts),
];

/// Nobody: greater than every user.
const NOBODY: u64 = (1 << 24) - 1;

fn live(recount: &Recount) -> impl Iterator<Item = &Row> {
    recount.rows.iter().filter(|row| row.live())
}

fn nullable(n: i64) -> Field<'static> {
    if n == NULL { Null } else { Int(n) }
}

fn count(n: usize) -> Field<'static> {
    Int(n as i64)
}

fn some(number: u32) -> bool {
    number != NONE
}

/// Two numbers as one that sorts like them.
fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Community, hour or day, user.
fn triple(community: u32, time: i64, user: u32) -> u64 {
    let user = if some(user) { u64::from(user) } else { NOBODY };
    assert!(community < 1 << 12 && (0..1 << 20).contains(&time) && user <= NOBODY, "numbers are that small");
    u64::from(community) << 44 | (time as u64) << 24 | user
}

fn sorted(mut all: Vec<u64>) -> Vec<u64> {
    all.sort_unstable();
    all
}

fn distinct(all: Vec<u64>) -> Vec<u64> {
    let mut all = sorted(all);
    all.dedup();
    all
}

/// How many of the sorted pairs begin with each number.
fn by_high(pairs: &[u64], names: &Names) -> Vec<usize> {
    let mut counts = vec![0; names.len()];
    pairs.iter().for_each(|pair| counts[(pair >> 32) as usize] += 1);
    counts
}

/// Sums over the live rows of a user, a conversation or a community.
#[derive(Clone)]
struct Total {
    messages: i64,
    characters: i64,
    score: i64,
    edited: i64,
    removed: i64,
    first_at: i64,
    last_at: i64,
}

const NOTHING: Total = Total { messages: 0, characters: 0, score: 0, edited: 0, removed: 0, first_at: NULL, last_at: NULL };

fn totals(recount: &Recount, names: &Names, of: impl Fn(&Row) -> u32) -> Vec<Total> {
    let mut totals = vec![NOTHING; names.len()];
    for row in recount.rows.iter().filter(|row| some(of(row))) {
        let total = &mut totals[of(row) as usize];
        if row.tombstone {
            total.removed += 1;
            continue;
        }
        total.messages += 1;
        total.characters += i64::from(row.characters);
        total.score += if row.score == NULL { 0 } else { row.score };
        total.edited += i64::from(row.edited);
        total.first_at = if total.first_at == NULL { row.created_at } else { total.first_at.min(row.created_at) };
        total.last_at = total.last_at.max(row.created_at);
    }
    totals
}

fn pairs(recount: &Recount, of: impl Fn(&Row) -> (u32, u32)) -> Vec<u64> {
    let pairs = live(recount).map(of).filter(|(high, low)| some(*high) && some(*low));
    distinct(pairs.map(|(high, low)| pair(high, low)).collect())
}

fn users(recount: &Recount, emit: Emit) {
    let totals = totals(recount, &recount.users, |row| row.user);
    let conversations = by_high(&pairs(recount, |row| (row.user, row.conversation)), &recount.users);
    let communities = by_high(&pairs(recount, |row| (row.user, row.community)), &recount.users);
    for (user, total) in totals.iter().enumerate().filter(|(_, total)| total.messages > 0) {
        emit(&[
            recount.users.field(user as u32),
            Int(total.messages),
            Int(total.characters),
            Int(total.score),
            Int(total.edited),
            Int(total.first_at),
            Int(total.last_at),
            count(conversations[user]),
            count(communities[user]),
        ]);
    }
}

fn conversations(recount: &Recount, emit: Emit) {
    let names = &recount.conversations;
    let totals = totals(recount, names, |row| row.conversation);
    let participants = by_high(&pairs(recount, |row| (row.conversation, row.user)), names);
    let depths = recount.depths();
    let (mut deepest, mut community) = (vec![NULL; names.len()], vec![NONE; names.len()]);
    for (row, depth) in recount.rows.iter().zip(&depths) {
        let conversation = row.conversation as usize;
        if row.live() && *depth != NO_DEPTH {
            deepest[conversation] = deepest[conversation].max(i64::from(*depth));
        }
        let greatest = &mut community[conversation];
        if some(row.community) && (!some(*greatest) || recount.communities.text(row.community) > recount.communities.text(*greatest)) {
            *greatest = row.community;
        }
    }
    let waited = first_responses(recount);
    for (conversation, total) in totals.iter().enumerate().filter(|(_, total)| total.messages + total.removed > 0) {
        emit(&[
            names.field(conversation as u32),
            recount.communities.field(community[conversation]),
            Int(total.messages),
            count(participants[conversation]),
            Int(total.characters),
            Int(total.removed),
            nullable(total.first_at),
            nullable(total.last_at),
            nullable(deepest[conversation]),
            nullable(waited[conversation]),
        ]);
    }
}

/// The live submission of each conversation that goes on to be answered: one that is held, else the one that was sealed last.
fn submissions(recount: &Recount) -> Vec<u32> {
    let mut submissions = vec![NONE; recount.conversations.len()];
    for (place, row) in recount.rows.iter().enumerate().filter(|(_, row)| row.submission && row.live()) {
        let before = &mut submissions[row.conversation as usize];
        if !some(*before) || !row.sealed || recount.rows[*before as usize].sealed {
            *before = place as u32;
        }
    }
    submissions
}

/// Seconds to the first response to each conversation's submission.
fn first_responses(recount: &Recount) -> Vec<i64> {
    let submissions = submissions(recount);
    let mut waited = vec![NULL; submissions.len()];
    for row in live(recount) {
        let submission = submissions[row.conversation as usize];
        if some(submission) {
            respond(&recount.rows[submission as usize], row, &mut waited[row.conversation as usize]);
        }
    }
    waited
}

fn respond(post: &Row, row: &Row, waited: &mut i64) {
    if !post.live() || !row.live() {
        return;
    }
    let seconds = row.created_at - post.created_at;
    if some(row.user) && row.user != post.user && seconds >= 0 && (*waited == NULL || seconds < *waited) {
        *waited = seconds;
    }
}

fn communities(recount: &Recount, emit: Emit) {
    let names = &recount.communities;
    let totals = totals(recount, names, |row| row.community);
    let posters = by_high(&pairs(recount, |row| (row.community, row.user)), names);
    let conversations = by_high(&pairs(recount, |row| (row.community, row.conversation)), names);
    for (community, total) in totals.iter().enumerate().filter(|(_, total)| total.messages + total.removed > 0) {
        emit(&[
            names.field(community as u32),
            Int(total.messages),
            count(posters[community]),
            count(conversations[community]),
            Int(total.characters),
            Int(total.removed),
            nullable(total.first_at),
            nullable(total.last_at),
        ]);
    }
}

fn user_hours(recount: &Recount, emit: Emit) {
    let hours = live(recount).filter(|row| some(row.user)).map(|row| pair(row.user, row.hour() as u32));
    for run in sorted(hours.collect()).chunk_by(|a, b| a == b) {
        let (user, hour) = ((run[0] >> 32) as u32, run[0] as u32);
        if recount.keeps_hour(i64::from(hour)) {
            emit(&[recount.users.field(user), Int(i64::from(hour)), count(run.len())]);
        }
    }
}

/// Runs of a community and an hour or day: both, messages, distinct posters.
fn of_times(recount: &Recount, time: impl Fn(&Row) -> i64) -> Vec<(u32, i64, usize, usize)> {
    let all = live(recount).filter(|row| some(row.community)).map(|row| triple(row.community, time(row), row.user));
    let all = sorted(all.collect());
    let posters = |run: &[u64]| run.chunk_by(|a, b| a == b).filter(|same| same[0] & NOBODY != NOBODY).count();
    let run = |run: &[u64]| ((run[0] >> 44) as u32, (run[0] >> 24 & 0xf_ffff) as i64, run.len(), posters(run));
    all.chunk_by(|a, b| a >> 24 == b >> 24).map(run).collect()
}

fn community_hours(recount: &Recount, emit: Emit) {
    for (community, hour, messages, posters) in of_times(recount, Row::hour) {
        if recount.keeps_hour(hour) {
            emit(&[recount.communities.field(community), Int(hour), count(messages), count(posters)]);
        }
    }
}

/// Who posted where, and on which days: the days of each user of each community, in order.
struct Days {
    all: Vec<(u32, u32, i64)>,
}

impl Days {
    fn of(recount: &Recount) -> Days {
        let of_row = |row: &Row| (row.community, row.user, row.day());
        let all = live(recount).map(of_row).filter(|(community, user, _)| some(*community) && some(*user));
        let packed = all.map(|(community, user, day)| u64::from(community) << 44 | u64::from(user) << 20 | day as u64);
        let all = distinct(packed.collect());
        Days { all: all.iter().map(|n| ((n >> 44) as u32, (n >> 20 & NOBODY) as u32, (n & 0xf_ffff) as i64)).collect() }
    }

    /// Each community with the days of each of its users.
    fn communities(&self) -> impl Iterator<Item = (u32, impl Iterator<Item = &[(u32, u32, i64)]>)> {
        self.all.chunk_by(|a, b| a.0 == b.0).map(|community| (community[0].0, community.chunk_by(|a, b| a.1 == b.1)))
    }
}

fn has(days: &[(u32, u32, i64)], range: Range<i64>) -> bool {
    days.iter().any(|(.., day)| range.contains(day))
}

fn community_days(recount: &Recount, emit: Emit) {
    let times = of_times(recount, Row::day);
    let (Some(first), Some(last)) = (times.iter().map(|time| time.1).min(), times.iter().map(|time| time.1).max()) else { return };
    // Of each community and day: how many came, and how many posted in the 7 and 30 days that end with it, as steps up and down.
    let length = (last - first + 32) as usize;
    let mut new = vec![0i64; recount.communities.len() * length];
    let (mut week, mut month) = (new.clone(), new.clone());
    for (community, users) in Days::of(recount).communities() {
        let at = |day: i64| community as usize * length + (day - first) as usize;
        for days in users {
            new[at(days[0].2)] += 1;
            for (n, (.., day)) in days.iter().enumerate() {
                let next = days.get(n + 1).map_or(i64::MAX, |(.., next)| *next);
                for (steps, window) in [(&mut week, 7), (&mut month, 30)] {
                    steps[at(*day)] += 1;
                    steps[at((day + window).min(next))] -= 1;
                }
            }
        }
    }
    for steps in [&mut week, &mut month] {
        for of_community in steps.chunks_mut(length) {
            (1..length).for_each(|day| of_community[day] += of_community[day - 1]);
        }
    }
    for (community, day, messages, posters) in times {
        let at = community as usize * length + (day - first) as usize;
        if recount.keeps_day(day) {
            let community = recount.communities.field(community);
            emit(&[community, Int(day), count(messages), count(posters), Int(new[at]), Int(week[at]), Int(month[at])]);
        }
    }
}

fn sessions(recount: &Recount, emit: Emit) {
    let times = live(recount).filter(|row| !row.sealed && some(row.user)).map(|row| pair(row.user, row.created_at as u32));
    for session in sorted(times.collect()).chunk_by(|a, b| a >> 32 == b >> 32 && b - a <= 1_800) {
        let at = |n: u64| Int(i64::from(n as u32));
        let user = recount.users.field((session[0] >> 32) as u32);
        emit(&[user, at(session[0]), at(session[session.len() - 1]), count(session.len())]);
    }
}

fn top_users(recount: &Recount, emit: Emit) {
    let posts = live(recount).filter(|row| some(row.community) && some(row.user)).map(|row| pair(row.community, row.user));
    let posts = sorted(posts.collect());
    for community in posts.chunk_by(|a, b| a >> 32 == b >> 32) {
        let of_user = |run: &[u64]| (Reverse(run.len()), recount.users.text(run[0] as u32), run[0] as u32);
        let mut users: Vec<_> = community.chunk_by(|a, b| a == b).map(of_user).collect();
        users.sort_unstable();
        for (rank, (Reverse(messages), _, user)) in (1..=10).zip(users) {
            emit(&[recount.communities.field((community[0] >> 32) as u32), Int(rank), recount.users.field(user), count(messages)]);
        }
    }
}

fn replies(recount: &Recount, emit: Emit) {
    let places = (0..recount.rows.len() as u32).filter(|place| recount.rows[*place as usize].live());
    let of_row = |place: u32| (recount.rows[place as usize].user, recount.to_user(place));
    let all = places.map(of_row).filter(|(user, to_user)| some(*user) && some(*to_user) && user != to_user);
    for run in sorted(all.map(|(user, to_user)| pair(user, to_user)).collect()).chunk_by(|a, b| a == b) {
        emit(&[recount.users.field((run[0] >> 32) as u32), recount.users.field(run[0] as u32), count(run.len())]);
    }
}

fn messages(recount: &Recount, emit: Emit) {
    for row in live(recount).filter(|row| !row.sealed) {
        emit(&[
            recount.ids.field(row.id),
            recount.conversations.field(row.conversation),
            recount.communities.field(row.community),
            recount.users.field(row.user),
            recount.ids.field(row.parent),
            Int(row.created_at),
            nullable(row.edited_at),
            nullable(row.score),
            Field::Text(row.text),
        ]);
    }
}

/// Of each user or community the live row that is the latest, then the greatest by id.
fn latest<'a>(recount: &'a Recount, names: &Names, of: impl Fn(&Row) -> u32) -> Vec<Option<&'a Row>> {
    let mut latest: Vec<Option<&Row>> = vec![None; names.len()];
    for row in live(recount).filter(|row| some(of(row))) {
        let before = &mut latest[of(row) as usize];
        let order = |row: &Row| (row.created_at, recount.ids.text(row.id).to_owned());
        if before
            .is_none_or(|before| row.created_at > before.created_at || row.created_at == before.created_at && order(row) > order(before))
        {
            *before = Some(row);
        }
    }
    latest
}

fn user_names(recount: &Recount, emit: Emit) {
    for (user, row) in latest(recount, &recount.users, |row| row.user).iter().enumerate() {
        row.inspect(|row| emit(&[recount.users.field(user as u32), recount.shown.field(row.user_name)]));
    }
}

fn community_names(recount: &Recount, emit: Emit) {
    for (community, row) in latest(recount, &recount.communities, |row| row.community).iter().enumerate() {
        row.inspect(|row| emit(&[recount.communities.field(community as u32), recount.shown.field(row.community_name)]));
    }
}

fn today(recount: &Recount) -> i64 {
    recount.watermark.div_euclid(86_400)
}

fn community_activity(recount: &Recount, emit: Emit) {
    let today = today(recount);
    for (community, users) in Days::of(recount).communities() {
        let mut posters = [0; 3];
        for days in users {
            for (posters, window) in posters.iter_mut().zip([1, 7, 30]) {
                *posters += i64::from(has(days, today - window + 1..today + 1));
            }
        }
        if posters[2] > 0 {
            emit(&[recount.communities.field(community), Int(today), Int(posters[0]), Int(posters[1]), Int(posters[2])]);
        }
    }
}

fn community_week(recount: &Recount, emit: Emit) {
    let window = today(recount) - 28..today(recount);
    let rows = live(recount).filter(|row| some(row.community) && window.contains(&row.day()));
    // 1970 began on a Thursday.
    let hours = rows.map(|row| pair(row.community, (row.hour() + 72).rem_euclid(168) as u32));
    for run in sorted(hours.collect()).chunk_by(|a, b| a == b) {
        emit(&[recount.communities.field((run[0] >> 32) as u32), Int(i64::from(run[0] as u32)), count(run.len())]);
    }
}

/// Places of live posts, and the seconds to the first response of each.
fn posts(recount: &Recount) -> Vec<(u32, i64)> {
    // (The submission that a conversation has; another of the same id was sealed, and is answered as well.)
    let mut by_place = vec![NULL; recount.rows.len()];
    for place in 0..recount.rows.len() as u32 {
        let parent = recount.took(place).or_else(|| recount.held_parent(place).filter(|_| !recount.rows[place as usize].sealed));
        if let Some(parent) = parent {
            respond(&recount.rows[parent as usize], &recount.rows[place as usize], &mut by_place[parent as usize]);
        }
    }
    let of_conversation = first_responses(recount);
    let submissions = submissions(recount);
    let waited = |place: u32, row: &Row| match row.submission {
        false => by_place[place as usize],
        true if submissions[row.conversation as usize] == place => of_conversation[row.conversation as usize],
        true => {
            let mut waited = NULL;
            live(recount).filter(|other| other.conversation == row.conversation).for_each(|other| respond(row, other, &mut waited));
            waited
        }
    };
    let is_post = |row: &Row| row.live() && (row.submission || row.telegram && !some(row.parent) && row.asks);
    let all = recount.rows.iter().enumerate().filter(|(_, row)| is_post(row));
    all.map(|(place, row)| (place as u32, waited(place as u32, row))).collect()
}

fn responses(recount: &Recount, emit: Emit) {
    let posts = posts(recount).into_iter().map(|(place, waited)| (&recount.rows[place as usize], waited));
    let mut posts: Vec<_> =
        posts.filter(|(row, _)| some(row.community)).map(|(row, waited)| ((row.community, row.day()), waited)).collect();
    posts.sort_unstable();
    for run in posts.chunk_by(|a, b| a.0 == b.0) {
        let ((community, day), _) = run[0];
        let seconds: Vec<i64> = run.iter().map(|(_, waited)| *waited).filter(|waited| (0..=86_400).contains(waited)).collect();
        let rank = |percent: usize| (seconds.len() * percent).div_ceil(100).checked_sub(1).map(|at| seconds[at]);
        if recount.keeps_day(day) {
            let community = recount.communities.field(community);
            emit(&[community, Int(day), count(run.len()), count(seconds.len()), Field::or_null(rank(50)), Field::or_null(rank(90))]);
        }
    }
}

fn unanswered(recount: &Recount, emit: Emit) {
    for (place, waited) in posts(recount) {
        let row = &recount.rows[place as usize];
        if row.asks && !row.sealed && waited == NULL && recount.watermark >= row.created_at + 21_600 {
            emit(&[
                recount.ids.field(row.id),
                recount.communities.field(row.community),
                recount.users.field(row.user),
                Int(row.created_at),
            ]);
        }
    }
}

fn user_states(recount: &Recount, emit: Emit) {
    let today = today(recount);
    for (community, users) in Days::of(recount).communities() {
        let mut states = [0; 5];
        for days in users {
            let (now, before) = (has(days, today - 29..today + 1), has(days, today - 59..today - 29));
            let is_new = now && days[0].2 >= today - 29;
            let state = match (now, before) {
                _ if is_new => 0,
                (true, true) => 1,
                (true, false) => 2,
                (false, true) => 3,
                (false, false) => 4,
            };
            states[state] += 1;
        }
        let [new, returning, resurrected, churned, dormant] = states.map(Int);
        emit(&[recount.communities.field(community), new, returning, resurrected, churned, dormant]);
    }
}

fn cohorts(recount: &Recount, emit: Emit) {
    let today = today(recount);
    for (community, users) in Days::of(recount).communities() {
        let mut of_users: Vec<(i64, &[(u32, u32, i64)])> = users.map(|days| (days[0].2, days)).collect();
        of_users.sort_by_key(|(day, _)| *day);
        for cohort in of_users.chunk_by(|a, b| a.0 == b.0) {
            let day = cohort[0].0;
            let back = |after: i64| {
                let is_over = today > day + after;
                let came = || cohort.iter().filter(|(_, days)| has(days, day + after..day + after + 1)).count();
                Field::or_null(is_over.then(|| came() as i64))
            };
            if recount.keeps_day(day) {
                emit(&[recount.communities.field(community), Int(day), count(cohort.len()), back(1), back(7), back(30)]);
            }
        }
    }
}
