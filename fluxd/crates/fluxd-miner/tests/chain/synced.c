/* Loaded before the system's library: keeps a copy of every regular file below $POWER_FROM, as it was when it was synced
   last, at the same place below $POWER_TO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_parents(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void keep(int fd) {
    const char *from = getenv("POWER_FROM"), *to = getenv("POWER_TO");
    char link[64], path[PATH_MAX], copy[PATH_MAX * 2], temporary[PATH_MAX * 2 + 8];
    struct stat facts;
    if (!from || !to || fstat(fd, &facts) || !S_ISREG(facts.st_mode)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    if (strncmp(path, from, strlen(from))) return;
    snprintf(copy, sizeof copy, "%s%s", to, path + strlen(from));
    snprintf(temporary, sizeof temporary, "%s.tmp", copy);
    make_parents(temporary);
    int in = open(path, O_RDONLY), out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    static __thread char buffer[65536];
    off_t place = 0;
    /* Only what is not a hole: the engine's journals are long and mostly empty. */
    while (in >= 0 && out >= 0 && (place = lseek(in, place, SEEK_DATA)) >= 0) {
        ssize_t count = pread(in, buffer, sizeof buffer, place);
        if (count <= 0 || pwrite(out, buffer, count, place) != count) break;
        place += count;
    }
    if (out >= 0 && ftruncate(out, facts.st_size)) close(out), out = -1;
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    next(temporary, copy);
}

/* A file that was synced and then given its name keeps its copy under the new name; so do folders. */
int rename(const char *old, const char *new) {
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    const char *from = getenv("POWER_FROM"), *to = getenv("POWER_TO");
    char old_copy[PATH_MAX * 2], new_copy[PATH_MAX * 2];
    int result = next(old, new);
    if (result || !from || !to || strncmp(old, from, strlen(from)) || strncmp(new, from, strlen(from))) return result;
    snprintf(old_copy, sizeof old_copy, "%s%s", to, old + strlen(from));
    snprintf(new_copy, sizeof new_copy, "%s%s", to, new + strlen(from));
    make_parents(new_copy);
    next(old_copy, new_copy);
    return result;
}

/* The copy is the disk: the real one, which a killed process does not need, would only be waited for. */
int fsync(int fd) {
    keep(fd);
    return 0;
}

int fdatasync(int fd) {
    keep(fd);
    return 0;
}
