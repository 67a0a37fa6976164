/* A register that calls the `_std` names, as VB6, PowerBuilder and Delphi do:
 *
 *   stdcall CONF.json NUMBER CODE
 *
 * On 32-bit x86 every call must leave the stack where it was: a function called by the wrong
 * convention seems to work, and crashes later. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "cloudpay.h"

#ifdef __i386__
#define STACK(at) __asm__ volatile("movl %%esp, %0" : "=r"(at))
#else
#define STACK(at) (at) = NULL
#endif

/* Calls through a volatile pointer, so that the compiler can't mend the stack unseen. */
#define CALL(type, function, arguments)                                                            \
    do {                                                                                           \
        type volatile pointer = function;                                                          \
        type call = pointer;                                                                       \
        void *before, *after;                                                                      \
        STACK(before);                                                                             \
        code = call arguments;                                                                     \
        STACK(after);                                                                              \
        if (before != after) {                                                                     \
            printf(#function ": the stack is %d bytes off\n", (int)((char *)after - (char *)before)); \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#define EXPECT(expected)                                                                           \
    if (code != (expected)) {                                                                      \
        printf("line %d: %d, not %d: %s\n", __LINE__, code, expected, cloud_pay_get_errmsg_std()); \
        return 1;                                                                                  \
    }

typedef int(CLOUDPAY_STDCALL *none)(void);
typedef int(CLOUDPAY_STDCALL *text)(const char *);
typedef int(CLOUDPAY_STDCALL *text_out)(const char *, char *, int);
typedef int(CLOUDPAY_STDCALL *text_out_ms)(const char *, char *, int, int);
typedef int(CLOUDPAY_STDCALL *callback)(cloud_pay_callback_std, void *);

static HANDLE heard;
static int user;

static void CLOUDPAY_STDCALL on_news(const char *number, int code, const char *order, void *mine)
{
    if (code == 0 && mine == &user && strstr(order, number))
        SetEvent(heard);
}

int main(int count, char **arguments)
{
    static char conf[65536], out[65536];
    char request[512];
    FILE *file;
    int code;
    if (count != 4 || !(file = fopen(arguments[1], "rb")))
        return 2;
    conf[fread(conf, 1, sizeof conf - 1, file)] = 0;
    fclose(file);
    heard = CreateEventA(NULL, FALSE, FALSE, NULL);

    CALL(text, cloud_pay_init_std, (conf));
    EXPECT(0);
    CALL(callback, cloud_pay_set_callback_std, (on_news, &user));
    EXPECT(0);
    snprintf(request, sizeof request,
             "{\"out_trade_no\":\"%s\",\"author_code\":\"%s\",\"total_fee\":128}", arguments[2],
             arguments[3]);
    CALL(text_out, cloud_pay_micro_pay_std, (request, out, sizeof out));
    EXPECT(0);
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", arguments[2]);
    CALL(text_out_ms, cloud_pay_wait_order_std, (request, out, sizeof out, 50000));
    EXPECT(0);
    if (WaitForSingleObject(heard, 50000) != WAIT_OBJECT_0) {
        printf("the callback was not called\n");
        return 1;
    }
    CALL(callback, cloud_pay_set_callback_std, (NULL, NULL));
    EXPECT(0);
    CALL(text_out, cloud_pay_order_stat,
         ("{\"start_time\":1700000000,\"end_time\":1700000100}", out, sizeof out));
    EXPECT(0);
    CALL(text_out, cloud_pay_order_stat_std,
         ("{\"start_time\":1700000000,\"end_time\":1700000100}", out, sizeof out));
    EXPECT(0);
    CALL(none, cloud_pay_fini_std, ());
    EXPECT(0);
    printf("paid\n");
    return 0;
}
