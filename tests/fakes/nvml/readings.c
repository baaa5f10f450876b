/* Reads the simulated GPUs from the file named by TRIMTAB_FAKE_NVML_READINGS, and keeps what a process may change about them. */
#define _GNU_SOURCE
#include "readings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct readings present;
static struct stat present_stat;
static bool have_present;

static struct {
    char uuid[TEXT_LENGTH];
    double joules;
    double watts;
    double at_seconds;
} meters[MAX_GPUS];

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const char *readings_path(void) { return getenv("TRIMTAB_FAKE_NVML_READINGS"); }

bool list_has(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; at != NULL && *at != '\0';) {
        const char *end = strchrnul(at, ',');
        if ((size_t)(end - at) == length && strncmp(at, word, length) == 0) return true;
        at = *end == ',' ? end + 1 : end;
    }
    return false;
}

static void copy_text(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }

static void parse_mig_uuids(struct gpu *gpu, char *value) {
    char *rest = NULL;
    for (char *word = strtok_r(value, ",", &rest); word != NULL && gpu->mig_count < MAX_MIG_DEVICES;
         word = strtok_r(NULL, ",", &rest))
        copy_text(gpu->mig_uuids[gpu->mig_count++], TEXT_LENGTH, word);
}

static bool parse_text(struct gpu *gpu, const char *key, char *value) {
    if (strcmp(key, "uuid") == 0) copy_text(gpu->uuid, sizeof gpu->uuid, value);
    else if (strcmp(key, "name") == 0) copy_text(gpu->name, sizeof gpu->name, value);
    else if (strcmp(key, "throttle") == 0) copy_text(gpu->throttle, sizeof gpu->throttle, value);
    else if (strcmp(key, "unsupported") == 0) copy_text(gpu->unsupported, sizeof gpu->unsupported, value);
    else if (strcmp(key, "no_permission") == 0) copy_text(gpu->no_permission, sizeof gpu->no_permission, value);
    else if (strcmp(key, "mig_uuids") == 0) parse_mig_uuids(gpu, value);
    else if (strcmp(key, "lost") == 0) gpu->lost = strcmp(value, "1") == 0;
    else return false;
    return true;
}

static void parse_number(struct gpu *gpu, const char *key, double value) {
    const struct {
        const char *key;
        double *to;
    } fields[] = {
        {"utilization_ratio", &gpu->utilization_ratio},
        {"sm_activity_ratio", &gpu->sm_activity_ratio},
        {"dram_active_ratio", &gpu->dram_active_ratio},
        {"tensor_active_ratio", &gpu->tensor_active_ratio},
        {"memory_used_bytes", &gpu->memory_used_bytes},
        {"memory_total_bytes", &gpu->memory_total_bytes},
        {"power_watts", &gpu->power_watts},
        {"power_limit_watts", &gpu->power_limit_watts},
        {"power_limit_min_watts", &gpu->power_limit_min_watts},
        {"power_limit_max_watts", &gpu->power_limit_max_watts},
        {"energy_joules", &gpu->energy_joules},
        {"temperature_celsius", &gpu->temperature_celsius},
        {"sm_clock_hertz", &gpu->sm_clock_hertz},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].key, key) == 0) *fields[i].to = value;
}

static struct gpu *add_gpu(struct readings *readings) {
    if (readings->count >= MAX_GPUS) return NULL;
    struct gpu *gpu = &readings->gpus[readings->count++];
    memset(gpu, 0, sizeof *gpu);
    gpu->sm_activity_ratio = gpu->dram_active_ratio = gpu->tensor_active_ratio = gpu->energy_joules = -1;
    return gpu;
}

static void parse_line(struct readings *readings, struct gpu **gpu, char *line) {
    line[strcspn(line, "\n")] = '\0';
    char *value = strchr(line, ' ');
    if (value == NULL || *line == '#') return;
    *value++ = '\0';
    if (strcmp(line, "driver") == 0) copy_text(readings->driver_version, TEXT_LENGTH, value);
    else if (strcmp(line, "gpu") == 0) *gpu = add_gpu(readings);
    else if (*gpu != NULL && !parse_text(*gpu, line, value)) parse_number(*gpu, line, strtod(value, NULL));
}

/* Settles what each GPU drew at its old power before the readings change. */
static void settle_meters(void) {
    for (int i = 0; have_present && i < present.count; i++) energy_joules(i, &present.gpus[i]);
}

const struct readings *current_readings(void) {
    struct stat found;
    const char *path = readings_path();
    if (path == NULL || stat(path, &found) != 0) return NULL;
    bool same = have_present && found.st_ino == present_stat.st_ino && found.st_size == present_stat.st_size &&
                memcmp(&found.st_mtim, &present_stat.st_mtim, sizeof found.st_mtim) == 0;
    if (same) return &present;
    FILE *file = fopen(path, "re");
    if (file == NULL) return NULL;
    settle_meters();
    memset(&present, 0, sizeof present);
    copy_text(present.driver_version, TEXT_LENGTH, "0.0-simulated");
    struct gpu *gpu = NULL;
    char line[1024];
    while (fgets(line, sizeof line, file) != NULL) parse_line(&present, &gpu, line);
    fclose(file);
    present_stat = found;
    have_present = true;
    return &present;
}

static bool limits_path(char *path, size_t size) {
    return readings_path() != NULL && snprintf(path, size, "%s.limits", readings_path()) < (int)size;
}

double limit_watts(const struct gpu *gpu) {
    char path[4096], line[256], uuid[TEXT_LENGTH];
    double watts = 0, found = gpu->power_limit_watts;
    if (!limits_path(path, sizeof path)) return found;
    FILE *file = fopen(path, "re");
    if (file == NULL) return found;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%95s %lf", uuid, &watts) == 2 && strcmp(uuid, gpu->uuid) == 0) found = watts;
    fclose(file);
    return found;
}

bool store_limit_watts(const struct gpu *gpu, double watts) {
    char path[4096];
    if (!limits_path(path, sizeof path)) return false;
    FILE *file = fopen(path, "ae"); /* the last line of a GPU counts, so that appending is enough */
    if (file == NULL) return false;
    bool written = fprintf(file, "%s %.3f\n", gpu->uuid, watts) > 0;
    return fclose(file) == 0 && written;
}

double drawn_watts(const struct gpu *gpu) {
    double limit = limit_watts(gpu);
    return limit > 0 && gpu->power_watts > limit ? limit : gpu->power_watts;
}

double energy_joules(int index, const struct gpu *gpu) {
    if (gpu->energy_joules >= 0) return gpu->energy_joules;
    double now = now_seconds();
    if (strcmp(meters[index].uuid, gpu->uuid) != 0) {
        copy_text(meters[index].uuid, TEXT_LENGTH, gpu->uuid);
        meters[index].joules = 0;
    } else {
        meters[index].joules += meters[index].watts * (now - meters[index].at_seconds);
    }
    meters[index].watts = drawn_watts(gpu);
    meters[index].at_seconds = now;
    return meters[index].joules;
}
