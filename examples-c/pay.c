/* A small register: 刷卡支付, with the code that the customer's phone shows.
 *
 *   pay CONF.json                                     a till: amounts and codes from the keyboard
 *   pay CONF.json --code DIGITS [--fee FEN]           one payment
 *   pay CONF.json --no NUMBER [--query]               something about an earlier order
 *
 *   --no NUMBER     the order number; for a payment, a new one when left out
 *   --wait SECONDS  how long to wait for the result, 60 when left out
 *   --query --refund --cancel --close                 what to do (after the payment)
 *
 * A scanner is a keyboard that types the code and Enter. Exit statuses are in till.h; 0 is paid. */
#include "till.h"

enum { LINE_SIZE = 256, LIST_SIZE = 65536, REFUND_TRIES = 3, REFUND_LOOKS = 30 };

struct job {
    const char *conf, *code;
    char number[NUMBER_SIZE];
    long fee, seconds;
    int query, refund, cancel, close;
};

/* Waits for the result of an order and says it. */
static int wait_for(const char *number, long seconds)
{
    char request[REQUEST_SIZE], order[ORDER_SIZE];
    int code;
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", number);
    printf("Waiting for the customer, at most %ld s …\n", seconds);
    fflush(stdout);
    code = cloud_pay_wait_order(request, order, sizeof order, (int)(seconds * 1000));
    return say_order(code, order);
}

/* Takes a payment. Gives the order number back, which belongs on the receipt. */
static int pay(const char *payment_code, long fee, long seconds, char number[NUMBER_SIZE])
{
    char request[REQUEST_SIZE], answer[64];
    int code;
    if (!*number && cloud_pay_next_trade_no(number, NUMBER_SIZE) != 0) {
        printf("No order number.\n");
        say_reason();
        return EXIT_USAGE;
    }
    snprintf(request, sizeof request,
             "{\"out_trade_no\":\"%s\",\"author_code\":\"%s\",\"total_fee\":%ld,\"body\":\"groceries\"}",
             number, payment_code, fee);
    code = cloud_pay_micro_pay(request, answer, sizeof answer);
    if (code != 0) {
        /* -1, -3, -8: whatever it is, nothing was sent, so there is nothing to cancel. */
        printf("NOT ACCEPTED (%d): nothing was sent, nobody was charged.\n", code);
        say_reason();
        printf("  Do: put that right, then scan again.\n");
        return EXIT_NOT_PAID;
    }
    printf("Order %s: %ld fen by %s, accepted.\n", number, fee,
           platform_name(json_long(answer, "pay_platform", 0)));
    return wait_for(number, seconds);
}

/* Asks the gateway for an order. */
static int query(const char *number, char order[ORDER_SIZE])
{
    char request[REQUEST_SIZE];
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", number);
    printf("Query of %s:\n", number);
    return say_order(cloud_pay_query_order(request, order, ORDER_SIZE), order);
}

/* Reverses a payment, or closes a QR order. */
static int take_back(const char *number, int close)
{
    char request[REQUEST_SIZE];
    int code;
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", number);
    printf("%s %s; that can take a minute …\n", close ? "Closing" : "Cancelling", number);
    fflush(stdout);
    code = close ? cloud_pay_close_order(request) : cloud_pay_cancel_order(request);
    return say_taken_back(code) == EXIT_NOT_PAID ? EXIT_DONE : EXIT_UNKNOWN;
}

/* Asks until the refund is through. */
static int follow_refund(const char *number)
{
    char request[REQUEST_SIZE], refund[ORDER_SIZE], state[16];
    int look, code;
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", number);
    for (look = 0; look < REFUND_LOOKS; look++) {
        code = cloud_pay_query_refund(request, refund, sizeof refund);
        if (code != 0 && code != -2) {
            printf("The refund can't be queried (%d).\n", code);
            say_reason();
            return EXIT_UNKNOWN;
        }
        if (code != 0 || !json_string(refund, "state", state, sizeof state))
            strcpy(state, "unknown");
        printf("  refund: %s\n", state);
        if (strcmp(state, "success") == 0) {
            printf("REFUNDED %ld fen.\n", json_long(refund, "refund_fee", 0));
            return EXIT_DONE;
        }
        if (strcmp(state, "manual") == 0) {
            printf("The customer's card can't take the money.\n  Do: give it back by hand.\n");
            return EXIT_UNKNOWN;
        }
        if (strcmp(state, "failed") == 0 || strcmp(state, "closed") == 0) {
            printf("NOT REFUNDED.\n  Do: refund again, with an out_refund_no of its own.\n");
            return EXIT_UNKNOWN;
        }
        fflush(stdout);
        pause_seconds(2);
    }
    printf("The refund was accepted and is not through yet.\n  Do: query it later.\n");
    return EXIT_UNKNOWN;
}

/* Gives the whole payment back. The order number serves as refund number too, so however often
 * this is called, the customer gets the money once. */
static int refund(const char *number)
{
    char request[REQUEST_SIZE], order[ORDER_SIZE];
    long fee;
    int try, code = -2;
    if (query(number, order) != EXIT_DONE)
        return EXIT_UNKNOWN;
    fee = json_long(order, "total_fee", 0);
    snprintf(request, sizeof request,
             "{\"out_trade_no\":\"%s\",\"total_fee\":%ld,\"refund_fee\":%ld}", number, fee, fee);
    for (try = 0; try < REFUND_TRIES && code == -2; try++) /* -2: the same call again is safe */
        code = cloud_pay_refund(request);
    if (code == 0) {
        printf("Refund of %ld fen accepted.\n", fee);
        return follow_refund(number);
    }
    printf(code == -1   ? "REFUND REFUSED.\n"
           : code == -2 ? "NOT KNOWN whether the refund arrived.\n  Do: the same refund again.\n"
                        : "ERROR: the refund could not be asked for.\n");
    say_reason();
    return EXIT_UNKNOWN;
}

/* What an earlier run left: orders without a result, and results that nobody has seen. With `ask`,
 * asks the gateway about each; an order whose final state was seen leaves the list. */
static void show_pending(int ask)
{
    char *list = NULL, order[ORDER_SIZE], number[NUMBER_SIZE], state[16];
    const char *at;
    int size = LIST_SIZE / 2, code;
    do {
        char *more = realloc(list, (size_t)(size *= 2));
        if (!more) {
            free(list);
            return;
        }
        list = more;
        code = cloud_pay_pending_orders(list, size);
    } while (code == -8 && size < INT_MAX / 2);
    if (code != 0) {
        printf("The list of unfinished orders can't be read (%d).\n", code);
        say_reason();
    } else if (json_long(list, "total_count", 0) > 0) {
        printf("Orders that need a look: %ld\n", json_long(list, "total_count", 0));
        for (at = list; (at = strstr(at, "{\"out_trade_no\":")) != NULL; at++) {
            if (!json_string(at, "out_trade_no", number, sizeof number))
                continue;
            json_string(at, "state", state, sizeof state);
            printf("  %s  %ld fen  %s%s%s\n", number, json_long(at, "total_fee", 0), state,
                   json_true(at, "recovered") ? "  (from an earlier run)" : "",
                   json_true(at, "late") ? "  (paid late)" : "");
            if (ask)
                query(number, order);
        }
    } else if (ask) {
        printf("No order needs a look.\n");
    }
    free(list);
}

/* One line from the keyboard or the scanner, without its end; 0 at the end of input. */
static int read_line(const char *prompt, char line[LINE_SIZE])
{
    int c = 0;
    printf("%s", prompt);
    fflush(stdout);
    if (!fgets(line, LINE_SIZE, stdin))
        return 0;
    if (!strchr(line, '\n'))
        while (c != '\n' && c != EOF)
            c = getchar();
    line[strcspn(line, "\r\n")] = 0;
    return 1;
}

/* Asks for an order number; nothing typed means the last one. */
static int read_number(char number[NUMBER_SIZE])
{
    char line[LINE_SIZE], prompt[LINE_SIZE];
    snprintf(prompt, sizeof prompt, "Order number [%s]: ", number);
    if (!read_line(prompt, line))
        return 0;
    if (*line) {
        if (!is_plain(line, 1, NUMBER_SIZE - 1)) {
            printf("Not an order number.\n");
            return 0;
        }
        strcpy(number, line);
    }
    return *number != 0;
}

static void till(long seconds)
{
    char line[LINE_SIZE], code[LINE_SIZE], order[ORDER_SIZE], number[NUMBER_SIZE] = "";
    while (read_line("\nAmount in fen, or [q]uery [c]ancel c[l]ose [r]efund [u]nfinished [e]nd: ", line)) {
        long fee = read_fen(line);
        if (strcmp(line, "e") == 0)
            return;
        if (fee > 0) {
            if (!read_line("Scan the customer's code: ", code))
                return;
            if (!is_digits(code, 16, 24)) {
                printf("Not a payment code: nothing was sent.\n");
                continue;
            }
            *number = 0;
            pay(code, fee, seconds, number);
        } else if (strcmp(line, "u") == 0) {
            show_pending(1);
        } else if (strlen(line) == 1 && strchr("qclr", *line)) {
            if (!read_number(number))
                continue;
            if (*line == 'q')
                query(number, order);
            else if (*line == 'r')
                refund(number);
            else
                take_back(number, *line == 'l');
        } else {
            printf("An amount is 1 to %d fen.\n", INT_MAX);
        }
    }
}

/* What the command line asks for, one after the other. */
static int run(struct job *job)
{
    char order[ORDER_SIZE];
    int status = EXIT_DONE;
    if (job->code)
        status = pay(job->code, job->fee, job->seconds, job->number);
    if (job->query && status != EXIT_USAGE)
        status = query(job->number, order);
    if (job->refund && status == EXIT_DONE)
        status = refund(job->number);
    if ((job->cancel || job->close) && status != EXIT_USAGE)
        status = take_back(job->number, job->close);
    return status;
}

static int usage(void)
{
    printf("pay CONF.json [--code DIGITS] [--fee FEN] [--no NUMBER] [--wait SECONDS]\n"
           "              [--query] [--refund] [--cancel] [--close]\n");
    return EXIT_USAGE;
}

/* Everything that goes into a JSON text is checked here or typed at the till and checked there. */
static int read_arguments(int argc, char **argv, struct job *job)
{
    int i;
    for (i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--query") == 0) {
            job->query = 1;
        } else if (strcmp(name, "--refund") == 0) {
            job->refund = 1;
        } else if (strcmp(name, "--cancel") == 0) {
            job->cancel = 1;
        } else if (strcmp(name, "--close") == 0) {
            job->close = 1;
        } else if (strcmp(name, "--code") == 0 && is_digits(value, 16, 24)) {
            job->code = argv[++i];
        } else if (strcmp(name, "--fee") == 0 && read_fen(value)) {
            job->fee = read_fen(argv[++i]);
        } else if (strcmp(name, "--no") == 0 && is_plain(value, 1, NUMBER_SIZE - 1)) {
            strcpy(job->number, argv[++i]);
        } else if (strcmp(name, "--wait") == 0 && is_digits(value, 1, 5)) {
            job->seconds = strtol(argv[++i], NULL, 10);
        } else if (*name != '-' && !job->conf) {
            job->conf = name;
        } else {
            printf("%s %s is not understood.\n", name, value);
            return 0;
        }
    }
    if (!job->code && *job->number && !job->refund && !job->cancel && !job->close)
        job->query = 1;
    /* Without a payment there has to be an order to do something about. */
    if ((job->query || job->refund || job->cancel || job->close) && !job->code && !*job->number)
        return 0;
    return job->conf != NULL;
}

int main(int argc, char **argv)
{
    struct job job = {0};
    int status = EXIT_DONE;
    use_utf8();
    job.fee = 100;
    job.seconds = 60;
    if (!read_arguments(argc, argv, &job))
        return usage();
    if (!start_library(job.conf))
        return EXIT_USAGE;
    show_pending(0);
    if (job.code || *job.number)
        status = run(&job);
    else
        till(job.seconds);
    cloud_pay_fini();
    return status;
}
