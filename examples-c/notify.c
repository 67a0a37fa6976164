/* A merchant's server: takes the gateway's notifications of payments and refunds, and answers them.
 *
 *   notify CONF.json PORT [COUNT]
 *
 *   PORT    on 127.0.0.1; 0: a free one, which is printed
 *   COUNT   ends after so many good notifications; for ever when left out
 *
 * The gateway posts to an https:// address. Let a web server that has a certificate pass the
 * requests on to this port. Give the configuration a journal of its own, ":memory:" will do, and
 * leave its charset UTF-8.
 *
 * The gateway sends a notification again until it is answered with status 0, and after a lost
 * answer too: what you do about one has to be safe to do twice. Answer 0 only when it is written
 * down. Sockets are POSIX. Exit statuses are in till.h. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "till.h"

enum {
    HEAD_MAX = 8192,
    BODY_MAX = 65536,
    CONTENT_SIZE = 3 * BODY_MAX, /* "ascii_output" makes six bytes of two */
    ANSWER_SIZE = 2048,
    PATIENCE = 5, /* seconds that a request may take to arrive */
    TAKEN = 0,    /* the statuses of an answer */
    NOT_TAKEN = 1
};

/* The number after Content-Length, -1 when there is none. `head` ends with an empty line. */
static long content_length(const char *head)
{
    static const char name[] = "Content-Length:";
    const char *line, *end;
    char *after;
    long length;
    for (line = head; (end = strstr(line, "\r\n")) != NULL && end != line; line = end + 2) {
        if (strncasecmp(line, name, sizeof name - 1) != 0)
            continue;
        line += sizeof name - 1;
        line += strspn(line, " \t");
        length = isdigit((unsigned char)*line) ? strtol(line, &after, 10) : -1;
        return length >= 0 && after + strspn(after, " \t") == end ? length : -1;
    }
    return -1;
}

/* Reads one POST. Gives NULL and its body, or the HTTP status that it is to be refused with. */
static const char *read_post(int peer, char **body)
{
    static char text[HEAD_MAX + BODY_MAX + 1];
    time_t deadline = time(NULL) + PATIENCE;
    size_t got = 0;
    long length = 0;
    *body = NULL;
    *text = 0;
    for (;;) {
        char *end = strstr(text, "\r\n\r\n");
        ssize_t more;
        if (end ? end - text > HEAD_MAX - 4 : got >= HEAD_MAX)
            return "431 Request Header Fields Too Large";
        if (end && !*body) {
            *body = end + 4;
            length = content_length(text);
            if (strncmp(text, "POST ", 5) != 0)
                return "405 Method Not Allowed";
            if (length < 0)
                return "411 Length Required";
            if (length > BODY_MAX)
                return "413 Content Too Large";
        }
        if (*body && text + got >= *body + length) {
            (*body)[length] = 0;
            /* The library takes text, which ends with the first NUL. */
            return strlen(*body) == (size_t)length ? NULL : "400 Bad Request";
        }
        if (time(NULL) > deadline)
            return "408 Request Timeout";
        more = recv(peer, text + got, sizeof text - 1 - got, 0);
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0) /* closed, broken, or silent for too long */
            return "408 Request Timeout";
        got += (size_t)more;
        text[got] = 0;
    }
}

static int send_all(int peer, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t sent = send(peer, text, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return 0;
        text += sent;
        left -= (size_t)sent;
    }
    return 1;
}

static int send_http(int peer, const char *status, const char *body)
{
    char head[256];
    snprintf(head, sizeof head,
             "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %lu\r\n"
             "Connection: close\r\n\r\n",
             status, (unsigned long)strlen(body));
    return send_all(peer, head) && send_all(peer, body);
}

/* Takes the white space between the parts of a JSON text out, as till.h wants it. */
static void compact(char *json)
{
    char *to = json, *from = json;
    int in_string = 0;
    for (; *from; from++) {
        if (*from == '"')
            in_string = !in_string;
        else if (*from == '\\' && from[1])
            *to++ = *from++;
        if (in_string || !isspace((unsigned char)*from))
            *to++ = *from;
    }
    *to = 0;
}

/* Cuts the object at or after `*at` out as a text of its own, and goes on behind it. NULL when a
 * list ends before there is one. */
static char *next_object(char **at)
{
    char *start = *at + strcspn(*at, "{]"), *end;
    int depth = 0, in_string = 0;
    for (end = start; *start == '{' && *end; end++) {
        if (*end == '"')
            in_string = !in_string;
        else if (*end == '\\' && end[1])
            end++;
        else if (!in_string && *end == '{')
            depth++;
        else if (!in_string && *end == '}' && --depth == 0) {
            *at = end + 1 + (end[1] == ',');
            end[1] = 0;
            return start;
        }
    }
    return NULL;
}

/* Says that an order is paid. The state decides that, not that a notification came. */
static int say_payment(const char *order)
{
    char number[NUMBER_SIZE];
    long fee = json_long(order, "total_fee", 0), state = json_long(order, "current_trade_state", 0);
    int wechat = json_field(order, "wxpay_order_content_ext") != NULL;
    if (!json_string(order, "out_trade_no", number, sizeof number) || fee <= 0)
        return 0;
    if (state == 2 || state == (wechat ? 3 : 6))
        printf("PAID %ld fen, order %s.\n", fee, number);
    else
        printf("ORDER %s is in state %ld: query it.\n", number, state);
    return 1;
}

/* The same for a refund. */
static int say_refund(const char *refund)
{
    char number[NUMBER_SIZE], refund_number[NUMBER_SIZE];
    long fee = json_long(refund, "refund_fee", 0);
    int wechat = json_field(refund, "wxpay_refund_order_content_ext") != NULL;
    long state = json_long(refund, wechat ? "state" : "refund_status", 0);
    if (!json_string(refund, "out_trade_no", number, sizeof number) ||
        !json_string(refund, "out_refund_no", refund_number, sizeof refund_number) || fee <= 0)
        return 0;
    if (state == 2)
        printf("REFUNDED %ld fen, order %s, refund %s.\n", fee, number, refund_number);
    else
        printf("REFUND %s of order %s is in state %ld: query it.\n", refund_number, number, state);
    return 1;
}

/* Says what an authentic notification tells. A server of yours writes it down here. Returns 0 when
 * that could not be done, or when it tells nothing that this program knows. */
static int record(char *content)
{
    char *at, *object;
    int said = 0;
    compact(content);
    if ((at = strstr(content, "\"order_content\":")) != NULL) {
        if ((object = next_object(&at)) == NULL || !say_payment(object))
            return 0;
        said = 1;
    } else if ((at = strstr(content, "\"refund_order_content\":")) != NULL) {
        for (; (object = next_object(&at)) != NULL; said = 1)
            if (!say_refund(object))
                return 0;
    }
    return said && fflush(stdout) == 0;
}

/* What is to be answered to a notification. */
static int judge(const char *body)
{
    static char content[CONTENT_SIZE];
    int code = cloud_pay_verify_notify(body, content, sizeof content);
    if (code == -1) {
        printf("REFUSED: not to be believed.\n");
        say_reason();
        return NOT_TAKEN;
    }
    if (code != 0) { /* -3, -8: nothing is known of it, so it has to come again */
        printf("ERROR (%d): the notification can't be checked.\n", code);
        say_reason();
        return NOT_TAKEN;
    }
    if (record(content))
        return TAKEN;
    printf("NOT TAKEN: authentic, but no payment and no refund that could be written down.\n");
    return NOT_TAKEN;
}

/* Answers one request. Returns 1 for a good notification whose answer has been sent. */
static int serve(int peer)
{
    struct timeval patience = {PATIENCE, 0};
    char answer[ANSWER_SIZE], *body;
    const char *refusal;
    int status, sent;
    if (setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
        printf("A connection can't be given a time limit: %s\n", strerror(errno));
        return 0;
    }
    if ((refusal = read_post(peer, &body)) != NULL) {
        printf("REFUSED: %s\n", refusal);
        send_http(peer, refusal, "");
        return 0;
    }
    status = judge(body);
    /* Signed like the gateway's own words, so that nobody else can say that it was taken. */
    if (cloud_pay_notify_reply(status, status == TAKEN ? "ok" : "not taken", answer, sizeof answer) != 0) {
        printf("No answer.\n");
        say_reason();
        send_http(peer, "500 Internal Server Error", "");
        return 0;
    }
    sent = send_http(peer, "200 OK", answer);
    if (!sent)
        printf("The answer could not be sent: the notification will come again.\n");
    return sent && status == TAKEN;
}

/* Listens on 127.0.0.1, and says where. -1 when that can't be done. */
static int listen_on(long port)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)port);
    if (server < 0 || setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 16) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &size) != 0) {
        printf("Can't listen on port %ld: %s\n", port, strerror(errno));
        if (server >= 0)
            close(server);
        return -1;
    }
    printf("Listening on http://127.0.0.1:%d/\n", ntohs(address.sin_port));
    fflush(stdout);
    return server;
}

/* One request after the other, until there were `count` good ones; 0: for ever. */
static int run(int server, long count)
{
    long good = 0;
    while (count == 0 || good < count) {
        int peer = accept(server, NULL, NULL);
        if (peer < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            printf("No more connections: %s\n", strerror(errno));
            return EXIT_UNKNOWN;
        }
        good += serve(peer);
        close(peer);
        fflush(stdout);
    }
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    char answer[ANSWER_SIZE];
    int server, status = EXIT_USAGE;
    if (argc < 3 || argc > 4 || !is_digits(argv[2], 1, 5) || strtol(argv[2], NULL, 10) > 65535 ||
        (argc == 4 && read_fen(argv[3]) == 0)) {
        printf("notify CONF.json PORT [COUNT]\n");
        return EXIT_USAGE;
    }
    if (!start_library(argv[1]))
        return EXIT_USAGE;
    /* Before the first customer pays: does this gateway send notifications? epay123 doesn't. */
    if (cloud_pay_notify_reply(TAKEN, NULL, answer, sizeof answer) != 0) {
        printf("There are no notifications to wait for.\n");
        say_reason();
    } else if ((server = listen_on(strtol(argv[2], NULL, 10))) >= 0) {
        status = run(server, argc == 4 ? strtol(argv[3], NULL, 10) : 0);
        close(server);
    }
    cloud_pay_fini();
    return status;
}
