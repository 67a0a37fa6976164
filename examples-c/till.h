/* What the examples need: reading a file, reading a field of an answer, and what every
 * return code means at the till. Static functions, so that one C file is one program. */
#ifndef TILL_H
#define TILL_H

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <unistd.h>
#endif

#include "cloudpay.h"

/* Exit statuses. */
enum {
    EXIT_DONE = 0,     /* paid; after --refund, --cancel or --close: that is done */
    EXIT_NOT_PAID = 1, /* the customer was not charged, or has the money back */
    EXIT_USAGE = 2,    /* nothing was done: command line or configuration */
    EXIT_UNKNOWN = 3   /* nobody knows yet, or a person has to look */
};

enum {
    NUMBER_SIZE = 33,  /* order numbers have at most 32 characters */
    ORDER_SIZE = 4096, /* what the library recommends for an order */
    REQUEST_SIZE = 512 /* our requests are short */
};

/* Our texts and the library's are UTF-8. */
static inline void use_utf8(void)
{
#ifdef _WIN32
    DWORD mode;
    HANDLE console = GetStdHandle(STD_OUTPUT_HANDLE);
    SetConsoleOutputCP(65001);
    /* 4: escape sequences, for the colours of the QR code. Windows 10 and newer have them. */
    if (GetConsoleMode(console, &mode))
        SetConsoleMode(console, mode | 4);
#endif
}

static inline void pause_seconds(unsigned seconds)
{
#ifdef _WIN32
    Sleep(seconds * 1000);
#else
    sleep(seconds);
#endif
}

/* A whole file as text that the caller frees; NULL when it can't be read. */
static inline char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t length = 0, size = 0, got;
    if (!file)
        return NULL;
    do {
        char *more = realloc(text, size += 4096);
        if (!more) {
            free(text);
            fclose(file);
            return NULL;
        }
        text = more;
        got = fread(text + length, 1, size - length - 1, file);
        length += got;
    } while (got > 0);
    text[length] = 0;
    if (ferror(file)) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

/* Enough JSON for these examples; a real register uses its own JSON library. The first "key" in the
 * text is the order's own, because the gateway's order_content comes after all of those. */
static inline const char *json_field(const char *json, const char *key)
{
    char name[64];
    const char *at;
    snprintf(name, sizeof name, "\"%s\":", key);
    at = strstr(json, name);
    return at ? at + strlen(name) : NULL;
}

/* Copies a string field. Returns 0, with "" in `out`, when it isn't there, is too long, or has an
 * escape other than of a quote, a slash or a backslash. */
static inline int json_string(const char *json, const char *key, char *out, size_t size)
{
    const char *at = json_field(json, key);
    size_t length = 0;
    out[0] = 0;
    if (!at || *at++ != '"')
        return 0;
    for (; *at && *at != '"' && length + 1 < size; at++) {
        if (*at == '\\' && !strchr("\"/\\", *++at))
            break;
        out[length++] = *at;
    }
    out[*at == '"' ? length : 0] = 0;
    return *at == '"';
}

/* A whole-number field; `otherwise` when it isn't there. */
static inline long json_long(const char *json, const char *key, long otherwise)
{
    const char *at = json_field(json, key);
    return at && (isdigit((unsigned char)*at) || *at == '-') ? strtol(at, NULL, 10) : otherwise;
}

static inline int json_true(const char *json, const char *key)
{
    const char *at = json_field(json, key);
    return at && strncmp(at, "true", 4) == 0;
}

/* Letters, digits, '-' and '_' only: safe to be pasted into a JSON text. */
static inline int is_plain(const char *text, size_t least, size_t most)
{
    size_t length = strlen(text), i;
    for (i = 0; i < length; i++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", text[i]))
            return 0;
    return length >= least && length <= most;
}

static inline int is_digits(const char *text, size_t least, size_t most)
{
    size_t length = strlen(text);
    return length >= least && length <= most && strspn(text, "0123456789") == length;
}

/* An amount in fen; 0 when the text isn't one. */
static inline long read_fen(const char *text)
{
    long fen = is_digits(text, 1, 10) ? strtol(text, NULL, 10) : 0;
    return fen >= 1 && fen <= INT_MAX ? fen : 0;
}

/* The library's own reason for the last call of this thread. */
static inline void say_reason(void)
{
    const char *reason = cloud_pay_get_errmsg();
    if (*reason)
        printf("  The library says: %s\n", reason);
}

static inline const char *platform_name(long platform)
{
    return platform == 1 ? "WeChat" : platform == 2 ? "Alipay" : "?";
}

/* Says what a code of query_order or wait_order means and what to do on it, and turns it into an
 * exit status. Call it directly after the library: the reason is that of the last call. */
static inline int say_order(int code, const char *order)
{
    char state[16], transaction[65];
    say_reason();
    json_string(order, "state", state, sizeof state);
    switch (code) {
    case 0:
        printf("PAID %ld fen by %s.", json_long(order, "total_fee", 0),
               platform_name(json_long(order, "pay_platform", 0)));
        if (json_string(order, "transaction_id", transaction, sizeof transaction))
            printf(" Transaction %s.", transaction);
        if (json_true(order, "late"))
            printf("\n  It was paid AFTER it had been reported as not paid: hand over the goods, or refund.");
        printf("\n");
        return EXIT_DONE;
    case -1:
        printf("NOT PAID. The customer was not charged, for sure.\n"
               "  Do: take another means of payment, or a new code with a new order number.\n");
        return EXIT_NOT_PAID;
    case -2:
        printf("NOT KNOWN YET (%s). The customer may have been charged, or may still be.\n"
               "  Do: wait and query again; don't hand over the goods and don't take the money twice.\n"
               "  If the customer won't wait: cancel the order, and go by what that says.\n",
               state);
        return EXIT_UNKNOWN;
    case -3:
        printf("ERROR: the question could not be asked. That says nothing about the payment.\n"
               "  Do: see the reason above, put it right, query again.\n");
        return EXIT_UNKNOWN;
    case -4:
        printf("TAKEN BACK (%s): the shop has no money of this order.\n"
               "  Do: to sell after all, start again with a new order number.\n",
               state);
        return EXIT_NOT_PAID;
    case -5:
        printf("QR CODE READY: the customer has not paid yet.\n"
               "  Do: show the code, wait, and close the order if the customer goes away.\n");
        return EXIT_UNKNOWN;
    case -6:
        printf("RE-ENTRY: this order number belongs to another payment.\n"
               "  Do: NEVER cancel or close it; sell with a new number, and find out who used this one.\n");
        return EXIT_UNKNOWN;
    case -7:
        printf("NO SUCH ORDER at the gateway.\n"
               "  Do: compare the number with the receipt; query again before you sell under a new one.\n");
        return EXIT_UNKNOWN;
    case -8:
        printf("BUFFER TOO SMALL: a bug of this program. The size that is needed is above.\n");
        return EXIT_UNKNOWN;
    default:
        printf("Code %d is not in this program's table: treat it as not known.\n", code);
        return EXIT_UNKNOWN;
    }
}

/* The same for cancel_order and close_order. Returns what is certain now: not paid, or not known. */
static inline int say_taken_back(int code)
{
    say_reason();
    switch (code) {
    case 0:
        printf("DONE: nothing is charged, and nothing will be.\n");
        return EXIT_NOT_PAID;
    case -1:
        printf("REFUSED: the order stands as it was.\n"
               "  Do: query it. A paid QR order can't be closed: refund it.\n");
        return EXIT_UNKNOWN;
    case -2:
        printf("NOT KNOWN whether it was taken back.\n"
               "  Do: query it, then cancel again.\n");
        return EXIT_UNKNOWN;
    case -6:
        printf("RE-ENTRY: the number belongs to another payment, so nothing was sent.\n"
               "  Do: leave it alone; sell with a new number.\n");
        return EXIT_UNKNOWN;
    default: /* -3 */
        printf("ERROR (%d): nothing was decided.\n"
               "  Do: see the reason above, put it right, query the order.\n",
               code);
        return EXIT_UNKNOWN;
    }
}

/* Reads the configuration, starts the library, and shows what an earlier run left. */
static inline int start_library(const char *path)
{
    char *conf = read_file(path);
    int code;
    if (!conf) {
        printf("Can't read %s\n", path);
        return 0;
    }
    code = cloud_pay_init(conf);
    free(conf);
    if (code != 0) {
        /* -1: the configuration, -3: something on this machine. Both say what. */
        printf("The library did not start (%d).\n", code);
        say_reason();
        return 0;
    }
    printf("cloudpay %s\n", cloud_pay_version());
    return 1;
}

#endif
