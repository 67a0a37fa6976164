/* What the client and the peer measure alike. Times in ns. */
#ifndef STATS_H
#define STATS_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static inline uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Processor time of this process, user and system. */
static inline uint64_t cpu_ns(void)
{
    return now_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline long resident_kib(void)
{
    long value = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &value) == 1)
            break;
    if (file)
        fclose(file);
    return value;
}

static inline int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* "name":[p50,p99] in us. */
static inline void print_times(const char *name, uint64_t *times, size_t count)
{
    qsort(times, count, sizeof *times, by_size);
    printf(",\"%s\":[%.1f,%.1f]", name, (double)times[count / 2] / 1000,
           (double)times[count * 99 / 100] / 1000);
}

#endif
