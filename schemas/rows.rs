//! The rows of every view: columns in the order of the tables.
//!
//! Times are whole seconds since 1970 UTC; `hour` and `day` are those seconds divided by 3,600 and 86,400, rounded down.
//! Everything counts live messages only, unless it says otherwise.

use crate::row::{Display, Path};
use crate::{ConversationId, MessageId, Name, Place, row};

row! {
    /// What each user wrote, over all communities.
    Users UsersKey "users" at Path::One("users");
    key {
        /// The author.
        user: Name,
    }
    columns {
        /// Live messages.
        messages: i64,
        /// Unicode scalar values of their texts.
        characters: i64,
        /// Sum of their scores.
        score: i64,
        /// Those whose winning version is an edit.
        edited: i64,
        /// The earliest created_at.
        first_at: i64,
        /// The latest created_at.
        last_at: i64,
        /// Distinct conversations.
        conversations: i64,
        /// Distinct communities.
        communities: i64,
    }
}

row! {
    /// What was said in each conversation: a Reddit submission with its comments, a topic of a Telegram chat.
    Conversations ConversationsKey "conversations" at Path::One("conversations");
    key {
        /// The conversation.
        conversation: ConversationId,
    }
    columns {
        /// The community that its messages and tombstones name, the greatest bytewise where they differ.
        community: Option<Name>,
        /// Live messages.
        messages: i64,
        /// Distinct users.
        participants: i64,
        /// Unicode scalar values of the texts.
        characters: i64,
        /// Messages whose winning version is a tombstone that names this conversation.
        removed: i64,
        /// The earliest created_at.
        first_at: Option<i64>,
        /// The latest created_at.
        last_at: Option<i64>,
        /// The longest chain of replies that ends in a live message: a submission is 0, an answer its parent's + 1.
        depth: Option<i64>,
        /// Seconds from the live submission to the first message of another named user at or after it.
        first_response_s: Option<i64>,
    }
}

row! {
    /// What was said in each community: a subreddit, a Telegram chat.
    Communities CommunitiesKey "communities" at Path::One("communities");
    key {
        /// The community.
        community: Name,
    }
    columns {
        /// Live messages.
        messages: i64,
        /// Distinct users.
        posters: i64,
        /// Distinct conversations.
        conversations: i64,
        /// Unicode scalar values of the texts.
        characters: i64,
        /// Messages whose winning version is a tombstone that names this community.
        removed: i64,
        /// The earliest created_at.
        first_at: Option<i64>,
        /// The latest created_at.
        last_at: Option<i64>,
    }
}

row! {
    /// Messages of each user by hour.
    UserHours UserHoursKey "user_hours" at Path::Many("users", "hours");
    key {
        /// The author.
        user: Name,
        /// Hours since 1970, UTC.
        hour: i64,
    }
    columns {
        /// Live messages created in that hour.
        messages: i64,
    }
}

row! {
    /// Messages of each community by hour.
    CommunityHours CommunityHoursKey "community_hours" at Path::Many("communities", "hours");
    key {
        /// The community.
        community: Name,
        /// Hours since 1970, UTC.
        hour: i64,
    }
    columns {
        /// Live messages created in that hour.
        messages: i64,
        /// Distinct users among them.
        posters: i64,
    }
}

row! {
    /// Each day of a community that has a live message.
    CommunityDays CommunityDaysKey "community_days" at Path::Many("communities", "days");
    key {
        /// The community.
        community: Name,
        /// Days since 1970, UTC.
        day: i64,
    }
    columns {
        /// Live messages created on that day.
        messages: i64,
        /// Distinct users among them.
        posters: i64,
        /// Users whose first live message in the community is on that day.
        new_posters: i64,
        /// Distinct posters in the 7 days that end with it.
        wau: i64,
        /// Distinct posters in the 30 days that end with it.
        mau: i64,
    }
}

row! {
    /// Runs of a user's messages, cut where the gap is over 1,800 seconds.
    Sessions SessionsKey "sessions" at Path::Many("users", "sessions");
    key {
        /// The author.
        user: Name,
        /// created_at of the first message.
        start_at: i64,
    }
    columns {
        /// created_at of the last message.
        end_at: i64,
        /// Live messages in it.
        messages: i64,
    }
}

row! {
    /// The ten users with most messages in each community, ties by user, bytewise.
    TopUsers TopUsersKey "top_users" at Path::Many("communities", "top");
    key {
        /// The community.
        community: Name,
        /// From 1.
        rank: u32,
    }
    columns {
        /// The user.
        user: Name,
        /// Their live messages in the community.
        messages: i64,
    }
}

row! {
    /// Who answers whom: replies of a user to messages held in the same conversation; self-replies left out.
    Replies RepliesKey "replies" at Path::Many("users", "replies");
    key {
        /// Who answers.
        user: Name,
        /// Whose message is answered; it may be a tombstone that still names its author.
        to_user: Name,
    }
    columns {
        /// Live replies.
        replies: i64,
    }
}

row! {
    /// Every live message.
    Messages MessagesKey "messages" at Path::One("messages");
    key {
        /// The message.
        message: MessageId,
    }
    columns {
        /// Where it was said.
        conversation: ConversationId,
        /// The subreddit or chat.
        community: Option<Name>,
        /// The author.
        user: Option<Name>,
        /// The message it answers.
        parent: Option<MessageId>,
        /// Seconds since 1970, UTC.
        created_at: i64,
        /// Time of the last edit, where the record names one.
        edited_at: Option<i64>,
        /// As the platform says.
        score: Option<i64>,
        /// What it says.
        text: Place,
    }
}

row! {
    /// What to call each user.
    UserNames UserNamesKey "user_names" at Path::Many("users", "names");
    key {
        /// The user.
        user: Name,
    }
    columns {
        /// Telegram: @username, else first and last name, from the latest live message; Reddit: the name itself.
        name: Option<Display>,
    }
}

row! {
    /// What to call each community.
    CommunityNames CommunityNamesKey "community_names" at Path::Many("communities", "names");
    key {
        /// The community.
        community: Name,
    }
    columns {
        /// Telegram: the chat's title, from the latest live message; Reddit: the name itself.
        name: Option<Display>,
    }
}

row! {
    /// How many people each community has as of the watermark's day.
    CommunityActivity CommunityActivityKey "community_activity" at Path::Many("communities", "activity");
    key {
        /// The community.
        community: Name,
    }
    columns {
        /// The day of the watermark, in days since 1970, UTC.
        as_of_day: i64,
        /// Distinct posters on that day.
        dau: i64,
        /// Distinct posters in the 7 days that end with it.
        wau: i64,
        /// Distinct posters in the 30 days that end with it.
        mau: i64,
    }
}

row! {
    /// When in the week a community writes: the last 28 days before the watermark's.
    CommunityWeek CommunityWeekKey "community_week" at Path::Many("communities", "week");
    key {
        /// The community.
        community: Name,
        /// Hours from Monday 00:00 UTC, 0 to 167.
        hour_of_week: i64,
    }
    columns {
        /// Live messages of the four such hours in those days.
        messages: i64,
    }
}

row! {
    /// How soon posts are answered. A post is a Reddit submission, or a Telegram message without a parent that asks.
    Responses ResponsesKey "responses" at Path::Many("communities", "responses");
    key {
        /// The community.
        community: Name,
        /// Days since 1970, UTC.
        day: i64,
    }
    columns {
        /// Live posts created on that day.
        posts: i64,
        /// Those that got their first response within 86,400 seconds.
        answered: i64,
        /// Seconds to those first responses, the median (nearest rank).
        median_s: Option<i64>,
        /// The 90th percentile (nearest rank).
        p90_s: Option<i64>,
    }
}

row! {
    /// Posts that ask and have no response 6 hours later, as of the watermark.
    Unanswered UnansweredKey "unanswered" at Path::Unlisted;
    key {
        /// The post.
        message: MessageId,
    }
    columns {
        /// Where it was said.
        community: Option<Name>,
        /// Who asks.
        user: Option<Name>,
        /// Seconds since 1970, UTC.
        created_at: i64,
    }
}

row! {
    /// The users of each community by what they did lately, as of the watermark's day: the columns sum to all who have a live message.
    UserStates UserStatesKey "user_states" at Path::Many("communities", "states");
    key {
        /// The community.
        community: Name,
    }
    columns {
        /// Their first live message is in the last 30 days.
        new: i64,
        /// They posted in the last 30 days and in the 30 before.
        returning: i64,
        /// They posted in the last 30 days, not in the 30 before, and earlier.
        resurrected: i64,
        /// They posted in the 30 days before the last 30, and not since.
        churned: i64,
        /// They posted in neither.
        dormant: i64,
    }
}

row! {
    /// The users who came on a day, and how many of them posted later: shown once that day is over, by the watermark.
    Cohorts CohortsKey "cohorts" at Path::Many("communities", "cohorts");
    key {
        /// The community.
        community: Name,
        /// Days since 1970, UTC.
        day: i64,
    }
    columns {
        /// Users whose first live message in the community is on that day.
        size: i64,
        /// Those who posted on the next day.
        d1: Option<i64>,
        /// Those who posted 7 days later.
        d7: Option<i64>,
        /// Those who posted 30 days later.
        d30: Option<i64>,
    }
}
