//! Everything that the guest does and no adapter should, by name.
//!
//! Guest and test are both made from this list: without a behaviour the guest does not compile, without a test the tests do not.

/// Hands the list to a macro.
macro_rules! for_each_misdeed {
    ($take:ident) => {
        $take! {
            // Time and memory.
            computes_forever
            computes_for_the_whole_run
            waits_forever
            waits_for_the_whole_run
            sleeps_forever
            hoards_memory
            recurses_forever
            panics
            // What is handed over.
            hands_over_too_much
            names_the_same_bytes_a_thousand_times
            hands_over_too_many_records
            hands_over_too_many_lines
            pages_forever
            pages_in_place
            pages_in_a_circle
            makes_a_cursor_of_a_megabyte
            counts_to_the_last_number
            lies_about_utf8
            lies_about_offsets
            cuts_a_character
            lies_about_the_length_of_a_column
            lies_about_outcomes
            invents_outcomes
            points_nowhere
            points_too_deep
            hands_over_a_response_of_an_earlier_call
            uses_a_response_that_it_released
            asks_for_a_million_pointers
            asks_for_one_text_a_million_times
            // Requests.
            asks_in_a_circle
            asks_for_the_whole_run
            hoards_responses
            hoards_bodies
            asks_for_a_huge_answer
            asks_another_origin
            asks_another_port
            asks_the_cloud
            asks_for_a_file_by_url
            hides_credentials_in_a_url
            forges_a_credential
            forges_the_host
            smuggles_a_header
            tunnels
            swallows_a_denial
            asks_with_a_url_of_a_megabyte
            // Writes while it reads, as in a diff.
            puts_while_it_reads
            deletes_while_it_reads
            posts_while_it_reads
            sends_a_body_with_a_get
            overrides_the_method
            sends_a_mutation
            hides_a_mutation_behind_a_comment
            hides_a_mutation_behind_an_alias
            hides_a_mutation_behind_a_string
            hides_a_mutation_behind_unicode
            hides_a_mutation_behind_an_escape
            hides_a_mutation_in_a_batch
            hides_a_mutation_behind_an_operation_name
            hides_a_mutation_behind_a_query_of_the_same_name
            hides_a_mutation_in_a_get
            hides_a_mutation_in_another_type
            climbs_out_of_a_reading_path
            writes_a_file_while_it_reads
            // Files.
            climbs_out_of_the_folder
            names_an_absolute_path
            follows_a_link_out
            writes_through_a_link
            writes_to_a_source
            reads_a_huge_file
            reads_a_pipe
            writes_to_a_pipe
            asks_for_a_folder_that_nobody_granted
            // Words and notes.
            logs_forever
            logs_a_book
            floods_the_memos
            keeps_memos_forever
            // The world beyond the contract.
            reads_the_environment
            looks_for_folders
            opens_a_socket
            looks_up_a_name
        }
    };
}

pub(crate) use for_each_misdeed;
