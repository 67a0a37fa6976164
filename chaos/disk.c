/* A disk that fails now and then, for LD_PRELOAD: writes and syncs of files whose name contains
 * ".journal" fail with ENOSPC or EIO. CHAOS_DISK is "SEED PER_MILLE". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_journal(int fd)
{
    char link[64], path[4096];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return strstr(path, ".journal") != NULL;
}

/* Whether this operation fails: the errno, or 0. The same seed fails the same operations. */
static int fails(int fd)
{
    static unsigned long long seed, per_mille;
    static unsigned count;
    uint64_t dice;
    if (!per_mille && sscanf(getenv("CHAOS_DISK"), "%llu %llu", &seed, &per_mille) != 2)
        abort();
    if (!is_journal(fd))
        return 0;
    dice = seed + 0x9e3779b97f4a7c15ull * (1 + __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED));
    dice = (dice ^ dice >> 30) * 0xbf58476d1ce4e5b9ull;
    dice = (dice ^ dice >> 27) * 0x94d049bb133111ebull;
    dice ^= dice >> 31;
    if (dice % 1000 >= per_mille)
        return 0;
    return dice >> 40 & 1 ? ENOSPC : EIO;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    if ((errno = fails(fd)))
        return -1;
    return REAL(pwrite64)(fd, bytes, count, at);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    if ((errno = fails(fd)))
        return -1;
    return REAL(write)(fd, bytes, count);
}

int fsync(int fd)
{
    if ((errno = fails(fd)))
        return -1;
    return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    if ((errno = fails(fd)))
        return -1;
    return REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t length)
{
    if ((errno = fails(fd)))
        return -1;
    return REAL(ftruncate64)(fd, length);
}
