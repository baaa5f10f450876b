/* The simulated GPUs as the readings file describes them. Written by readings.py, parsed by readings.c, shown through nvml.c. */
#ifndef TRIMTAB_FAKE_READINGS_H
#define TRIMTAB_FAKE_READINGS_H

#include <stdbool.h>

#define MAX_GPUS 16
#define MAX_MIG_DEVICES 8
#define TEXT_LENGTH 96
#define LIST_LENGTH 256

/* One `gpu` block of the file. Ratios are 0..1; a negative number means that the file does not say. */
struct gpu {
    char uuid[TEXT_LENGTH];
    char name[TEXT_LENGTH];
    double utilization_ratio;
    double sm_activity_ratio; /* said: the GPU supports GPM */
    double dram_active_ratio;
    double tensor_active_ratio;
    double memory_used_bytes;
    double memory_total_bytes;
    double power_watts;
    double power_limit_watts;
    double power_limit_min_watts;
    double power_limit_max_watts;
    double energy_joules; /* not said: power integrated over the time of this process */
    double temperature_celsius;
    double sm_clock_hertz;
    char throttle[LIST_LENGTH];      /* comma list of power_cap, thermal, hardware */
    char unsupported[LIST_LENGTH];   /* comma list of fields that answer NotSupported */
    char no_permission[LIST_LENGTH]; /* comma list of fields that answer NoPermission */
    char mig_uuids[MAX_MIG_DEVICES][TEXT_LENGTH];
    int mig_count;
    bool lost;
};

struct readings {
    char driver_version[TEXT_LENGTH];
    struct gpu gpus[MAX_GPUS];
    int count;
};

/* The present readings, read again when the file changed; NULL when there is no readable file. Call with the lock held. */
const struct readings *current_readings(void);

/* Power draw in watts: what the file says, but never above the power limit in force. */
double drawn_watts(const struct gpu *gpu);

/* The power limit in force in watts: one set through the library (kept in `<file>.limits`), else the file's. */
double limit_watts(const struct gpu *gpu);

/* Keeps a limit that was set, so that every process with the same readings file sees it. False when it cannot be written. */
bool store_limit_watts(const struct gpu *gpu, double watts);

/* Joules drawn since this process first looked, or what the file says. */
double energy_joules(int index, const struct gpu *gpu);

bool list_has(const char *list, const char *word);

#endif
