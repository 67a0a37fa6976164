/* A register for tests: does what it is told on standard input, one line a call, each call on a
 * thread of its own, and answers on standard output. All fields are separated by tabs.
 *
 *   in   ID  FUNCTION  REQUEST(hex)  LENGTH  TIMEOUT_MS
 *   out  ID  CODE      OUTPUT(hex)   ERRMSG(hex)
 *   out  *   CODE      NUMBER(hex)   ORDER(hex)          from the callback
 *
 * LENGTH is the size of the output buffer; -1 passes NULL and 0. A REQUEST of "-" passes NULL. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloudpay.h"

#ifdef _WIN32
/* What Windows' C library lacks. Lines are those of our own tests: short enough. */
#include <fcntl.h>
#include <io.h>

static int getline(char **line, size_t *size, FILE *file)
{
    if (!*line)
        *line = malloc(*size = 1 << 20);
    return fgets(*line, (int)*size, file) ? (int)strlen(*line) : -1;
}

static char *strsep(char **rest, const char *ends)
{
    char *field = *rest;
    if (!field)
        return NULL;
    *rest += strcspn(field, ends);
    if (**rest)
        *(*rest)++ = 0;
    else
        *rest = NULL;
    return field;
}
#else
#include <sys/wait.h>
#include <unistd.h>
#endif

struct call {
    char *id, *function, *request;
    int length, timeout_ms;
};

static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;
static int callback_sets;

static char *unhex(const char *text)
{
    size_t length = strlen(text) / 2, i;
    char *bytes = malloc(length + 1);
    unsigned byte;
    for (i = 0; i < length; i++) {
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            abort();
        bytes[i] = (char)byte;
    }
    bytes[length] = 0;
    return bytes;
}

static void print_hex(const char *text)
{
    for (; *text; text++)
        printf("%02x", (unsigned char)*text);
}

static void answer(const char *id, int code, const char *first, const char *second)
{
    pthread_mutex_lock(&print_lock);
    printf("%s\t%d\t", id, code);
    print_hex(first);
    printf("\t");
    print_hex(second);
    printf("\n");
    fflush(stdout);
    pthread_mutex_unlock(&print_lock);
}

static void on_news(const char *number, int code, const char *order, void *user)
{
    if (user != &callback_sets)
        abort();
    answer("*", code, number, order);
}

/* A callback that does everything a callback may, and what it must not. */
static void on_news_hostile(const char *number, int code, const char *order, void *user)
{
    char out[4096];
    (void)order, (void)user;
    answer("*", code, number, "");
    answer("*init", cloud_pay_init("{}"), "", cloud_pay_get_errmsg());
    answer("*fini", cloud_pay_fini(), "", cloud_pay_get_errmsg());
    answer("*pending", cloud_pay_pending_orders(out, sizeof out), "", "");
    answer("*clear", cloud_pay_set_callback(NULL, NULL), "", "");
}

/* 0 when a forked child is refused everything, and may end as if nothing had been. */
static int in_child(const char *conf)
{
#ifdef _WIN32
    (void)conf;
    return -1;
#else
    char out[64];
    int status;
    pid_t child = fork();
    if (child == 0) {
        int good = cloud_pay_init(conf) == -3 && strstr(cloud_pay_get_errmsg(), "fork") &&
                   cloud_pay_micro_pay("{}", out, sizeof out) == -3 && cloud_pay_fini() == 0 &&
                   cloud_pay_init(conf) == -3;
        _exit(good ? 0 : 1);
    }
    return waitpid(child, &status, 0) == child ? status : -1;
#endif
}

static int is(const struct call *call, const char *name)
{
    return strcmp(call->function, name) == 0;
}

/* Guard bytes around the buffer catch a write outside it. */
enum { GUARD = 16 };

static void *run(void *argument)
{
    struct call *call = argument;
    const char *req = call->request;
    char *block = NULL, *out = NULL;
    int length = call->length, code = -99, i;
    if (length >= 0) {
        block = malloc((size_t)length + 2 * GUARD);
        memset(block, 'G', (size_t)length + 2 * GUARD);
        out = block + GUARD;
    } else if (length == -1) {
        length = 0;
    }
    if (is(call, "init"))
        code = cloud_pay_init(req);
    else if (is(call, "fini"))
        code = cloud_pay_fini();
    else if (is(call, "micro_pay"))
        code = cloud_pay_micro_pay(req, out, length);
    else if (is(call, "scan_code_pay"))
        code = cloud_pay_scan_code_pay(req);
    else if (is(call, "query_order"))
        code = cloud_pay_query_order(req, out, length);
    else if (is(call, "wait_order"))
        code = cloud_pay_wait_order(req, out, length, call->timeout_ms);
    else if (is(call, "cancel_order"))
        code = cloud_pay_cancel_order(req);
    else if (is(call, "close_order"))
        code = cloud_pay_close_order(req);
    else if (is(call, "refund"))
        code = cloud_pay_refund(req);
    else if (is(call, "query_refund"))
        code = cloud_pay_query_refund(req, out, length);
    else if (is(call, "query_shop_info"))
        code = cloud_pay_query_shop_info(req, out, length);
    else if (is(call, "query_sub_mch_info"))
        code = cloud_pay_query_sub_mch_info(req, out, length);
    else if (is(call, "order_detail"))
        code = cloud_pay_order_detail(req, out, length);
    else if (is(call, "order_stat"))
        code = cloud_pay_order_stat(req, out, length);
    else if (is(call, "verify_notify"))
        code = cloud_pay_verify_notify(req, out, length);
    else if (is(call, "notify_reply"))
        code = cloud_pay_notify_reply(call->timeout_ms, req, out, length);
    else if (is(call, "pending_orders"))
        code = cloud_pay_pending_orders(out, length);
    else if (is(call, "next_trade_no"))
        code = cloud_pay_next_trade_no(out, length);
    else if (is(call, "security_author_code_prefix"))
        code = cloud_pay_security_author_code_prefix(out, length);
    else if (is(call, "copy_errmsg"))
        code = cloud_pay_copy_errmsg(out, length);
    else if (is(call, "security_login"))
        code = cloud_pay_security_login(req, out, length);
    else if (is(call, "security_login_check"))
        code = cloud_pay_security_login_check(req, out, length);
    else if (is(call, "security_init"))
        code = cloud_pay_security_init(req);
    else if (is(call, "security_identification"))
        code = cloud_pay_security_identification(req, out, length);
    else if (is(call, "security_identification_check"))
        code = cloud_pay_security_identification_check(req, out, length);
    else if (is(call, "set_callback"))
        code = cloud_pay_set_callback(on_news, &callback_sets);
    else if (is(call, "set_hostile_callback"))
        code = cloud_pay_set_callback(on_news_hostile, NULL);
    else if (is(call, "fork"))
        code = in_child(req);
    else if (is(call, "clear_callback"))
        code = cloud_pay_set_callback(NULL, NULL);
    else
        abort();
    for (i = 0; block && i < GUARD; i++)
        if (block[i] != 'G' || block[GUARD + length + i] != 'G')
            abort();
    /* Exactly `length` bytes may hold text: make sure that it ends within them. */
    if (out && length > 0 && out[0] != 'G' && !memchr(out, 0, (size_t)length))
        abort();
    answer(call->id, code, out && length > 0 && out[0] != 'G' ? out : "", cloud_pay_get_errmsg());
    free(block);
    free(call->id);
    free(call->function);
    free(call->request);
    free(call);
    return NULL;
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
#ifdef _WIN32
    setmode(fileno(stdin), O_BINARY);
    setmode(fileno(stdout), O_BINARY);
#endif
    while (getline(&line, &size, stdin) > 0) {
        char *rest = line, *field[5];
        struct call *call = malloc(sizeof *call);
        pthread_t thread;
        pthread_attr_t small;
        int i;
        for (i = 0; i < 5; i++)
            if (!(field[i] = strsep(&rest, "\t\n")))
                abort();
        call->id = strdup(field[0]);
        call->function = strdup(field[1]);
        call->request = strcmp(field[2], "-") == 0 ? NULL : unhex(field[2]);
        call->length = atoi(field[3]);
        call->timeout_ms = atoi(field[4]);
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 256 * 1024);
        pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &small, run, call) != 0)
            abort();
    }
    free(line);
    /* No fini: a register that just exits is a case of its own. */
    return 0;
}
