/* A simulated libnvidia-ml.so.1: the NVML calls that Trimtab's agent makes, answered from a readings file.
 *
 * It stands in for hardware in tests and in the demo and says so: it exports trimtab_nvml_is_simulated, and every device name
 * begins with "Simulated ". Numbers read from it are never published as measurements. Signatures and codes follow nvml.h.
 */
#include "readings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int nvmlReturn_t;
enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, ARGUMENT_VERSION_MISMATCH = 25,
};

/* What an opaque nvmlDevice_t points to: a GPU, or one of its MIG devices (mig >= 0). */
struct handle {
    int index;
    int mig;
};
typedef struct handle *nvmlDevice_t;

const int trimtab_nvml_is_simulated = 1;

static struct handle gpu_handles[MAX_GPUS];
static struct handle mig_handles[MAX_GPUS][MAX_MIG_DEVICES];
static int initialized;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static nvmlReturn_t find_readings(const struct readings **readings) {
    if (!initialized) return UNINITIALIZED;
    *readings = current_readings();
    return *readings == NULL ? DRIVER_NOT_LOADED : SUCCESS;
}

/* The GPU behind a handle, if it may be asked for `field`. */
static nvmlReturn_t find_gpu(nvmlDevice_t device, const char *field, const struct gpu **gpu) {
    const struct readings *readings = NULL;
    nvmlReturn_t result = find_readings(&readings);
    if (result != SUCCESS) return result;
    if (device == NULL || device->index >= readings->count) return INVALID_ARGUMENT;
    *gpu = &readings->gpus[device->index];
    if ((*gpu)->lost) return GPU_IS_LOST;
    if (device->mig >= 0 && strcmp(field, "uuid") != 0 && strcmp(field, "name") != 0) return NOT_SUPPORTED;
    if (list_has((*gpu)->unsupported, field)) return NOT_SUPPORTED;
    return list_has((*gpu)->no_permission, field) ? NO_PERMISSION : SUCCESS;
}

static nvmlReturn_t copy_out(char *to, unsigned size, const char *prefix, const char *text) {
    return snprintf(to, size, "%s%s", prefix, text) < (int)size ? SUCCESS : INSUFFICIENT_SIZE;
}

/* Every call below holds the lock while it looks at the readings. */
#define ANSWER(expression)                  \
    pthread_mutex_lock(&lock);              \
    nvmlReturn_t result = (expression);     \
    pthread_mutex_unlock(&lock);            \
    return result

#define ASK_GPU(name, field, signature, statement)                  \
    static nvmlReturn_t ask_##name signature {                      \
        const struct gpu *gpu = NULL;                               \
        nvmlReturn_t found = find_gpu(device, field, &gpu);         \
        if (found != SUCCESS) return found;                         \
        statement;                                                  \
        return SUCCESS;                                             \
    }

static nvmlReturn_t initialize(void) {
    for (int i = 0; i < MAX_GPUS; i++) {
        gpu_handles[i] = (struct handle){i, -1};
        for (int k = 0; k < MAX_MIG_DEVICES; k++) mig_handles[i][k] = (struct handle){i, k};
    }
    if (current_readings() == NULL) return DRIVER_NOT_LOADED;
    initialized++;
    return SUCCESS;
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags) { (void)flags; ANSWER(initialize()); }
nvmlReturn_t nvmlInit_v2(void) { ANSWER(initialize()); }
nvmlReturn_t nvmlShutdown(void) { ANSWER(initialized > 0 ? (initialized--, SUCCESS) : UNINITIALIZED); }

const char *nvmlErrorString(nvmlReturn_t code) { return code == SUCCESS ? "Success" : "Simulated NVML error"; }

static nvmlReturn_t driver_version(char *version, unsigned size) {
    const struct readings *readings = NULL;
    nvmlReturn_t found = find_readings(&readings);
    return found == SUCCESS ? copy_out(version, size, "", readings->driver_version) : found;
}
nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned size) { ANSWER(driver_version(version, size)); }

static nvmlReturn_t device_count(unsigned *count) {
    const struct readings *readings = NULL;
    nvmlReturn_t found = find_readings(&readings);
    if (found == SUCCESS) *count = (unsigned)readings->count;
    return found;
}
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) { ANSWER(device_count(count)); }

static nvmlReturn_t by_index(unsigned index, nvmlDevice_t *device) {
    const struct readings *readings = NULL;
    nvmlReturn_t found = find_readings(&readings);
    if (found != SUCCESS) return found;
    if (index >= (unsigned)readings->count) return INVALID_ARGUMENT;
    *device = &gpu_handles[index];
    return readings->gpus[index].lost ? GPU_IS_LOST : SUCCESS;
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) { ANSWER(by_index(index, device)); }

static nvmlReturn_t by_uuid(const char *uuid, nvmlDevice_t *device) {
    const struct readings *readings = NULL;
    nvmlReturn_t found = find_readings(&readings);
    if (found != SUCCESS) return found;
    for (unsigned i = 0; i < (unsigned)readings->count; i++)
        if (strcmp(readings->gpus[i].uuid, uuid) == 0) return by_index(i, device);
    return NOT_FOUND;
}
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) { ANSWER(by_uuid(uuid, device)); }

ASK_GPU(index, "index", (nvmlDevice_t device, unsigned *index), *index = (unsigned)device->index)
nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index) { ANSWER(ask_index(device, index)); }

ASK_GPU(name, "name", (nvmlDevice_t device, char *name, unsigned size),
        return copy_out(name, size, strncmp(gpu->name, "Simulated ", 10) == 0 ? "" : "Simulated ", gpu->name))
nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned size) { ANSWER(ask_name(device, name, size)); }

ASK_GPU(uuid, "uuid", (nvmlDevice_t device, char *uuid, unsigned size),
        return copy_out(uuid, size, "", device->mig >= 0 ? gpu->mig_uuids[device->mig] : gpu->uuid))
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned size) { ANSWER(ask_uuid(device, uuid, size)); }

struct utilization { unsigned gpu, memory; };
ASK_GPU(utilization, "utilization", (nvmlDevice_t device, struct utilization *rates),
        rates->gpu = (unsigned)(gpu->utilization_ratio * 100 + 0.5); rates->memory = 0)
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, struct utilization *rates) {
    ANSWER(ask_utilization(device, rates));
}

struct memory { unsigned long long total, free, used; };
ASK_GPU(memory, "memory", (nvmlDevice_t device, struct memory *memory),
        memory->total = (unsigned long long)gpu->memory_total_bytes;
        memory->used = (unsigned long long)gpu->memory_used_bytes; memory->free = memory->total - memory->used)
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, struct memory *memory) { ANSWER(ask_memory(device, memory)); }

struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
ASK_GPU(memory_v2, "memory", (nvmlDevice_t device, struct memory_v2 *memory),
        if (memory->version != (sizeof *memory | 2u << 24)) return ARGUMENT_VERSION_MISMATCH;
        memory->total = (unsigned long long)gpu->memory_total_bytes; memory->reserved = 0;
        memory->used = (unsigned long long)gpu->memory_used_bytes; memory->free = memory->total - memory->used)
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, struct memory_v2 *memory) { ANSWER(ask_memory_v2(device, memory)); }

static unsigned milli(double value) { return (unsigned)(value * 1000 + 0.5); }

ASK_GPU(power, "power", (nvmlDevice_t device, unsigned *milliwatts), *milliwatts = milli(drawn_watts(gpu)))
nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts) { ANSWER(ask_power(device, milliwatts)); }

ASK_GPU(limit, "power_limit", (nvmlDevice_t device, unsigned *milliwatts), *milliwatts = milli(limit_watts(gpu)))
nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned *milliwatts) { ANSWER(ask_limit(device, milliwatts)); }
nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned *milliwatts) { ANSWER(ask_limit(device, milliwatts)); }

ASK_GPU(default_limit, "power_limit", (nvmlDevice_t device, unsigned *milliwatts), *milliwatts = milli(gpu->power_limit_watts))
nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device, unsigned *milliwatts) {
    ANSWER(ask_default_limit(device, milliwatts));
}

ASK_GPU(constraints, "power_limit", (nvmlDevice_t device, unsigned *minimum, unsigned *maximum),
        *minimum = milli(gpu->power_limit_min_watts); *maximum = milli(gpu->power_limit_max_watts))
nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned *minimum, unsigned *maximum) {
    ANSWER(ask_constraints(device, minimum, maximum));
}

ASK_GPU(set_limit, "power_limit_set", (nvmlDevice_t device, unsigned milliwatts),
        if (milliwatts < milli(gpu->power_limit_min_watts) || milliwatts > milli(gpu->power_limit_max_watts))
            return INVALID_ARGUMENT;
        if (!store_limit_watts(gpu, milliwatts / 1000.0)) return NO_PERMISSION)
nvmlReturn_t nvmlDeviceSetPowerManagementLimit(nvmlDevice_t device, unsigned milliwatts) { ANSWER(ask_set_limit(device, milliwatts)); }

ASK_GPU(energy, "energy", (nvmlDevice_t device, unsigned long long *millijoules),
        *millijoules = (unsigned long long)(energy_joules(device->index, gpu) * 1000))
nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *millijoules) {
    ANSWER(ask_energy(device, millijoules));
}

ASK_GPU(temperature, "temperature", (nvmlDevice_t device, unsigned *celsius), *celsius = (unsigned)gpu->temperature_celsius)
nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *celsius) {
    if (sensor != 0) return INVALID_ARGUMENT;
    ANSWER(ask_temperature(device, celsius));
}

struct temperature { unsigned version; int sensor, celsius; };
nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, struct temperature *temperature) {
    if (temperature->version != (sizeof *temperature | 1u << 24)) return ARGUMENT_VERSION_MISMATCH;
    return nvmlDeviceGetTemperature(device, temperature->sensor, (unsigned *)&temperature->celsius);
}

ASK_GPU(clock, "sm_clock", (nvmlDevice_t device, int type, unsigned *megahertz),
        if (type != 1) return NOT_SUPPORTED; /* NVML_CLOCK_SM */
        *megahertz = (unsigned)(gpu->sm_clock_hertz / 1e6 + 0.5))
nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned *megahertz) { ANSWER(ask_clock(device, type, megahertz)); }

ASK_GPU(reasons, "throttle", (nvmlDevice_t device, unsigned long long *reasons),
        *reasons = (list_has(gpu->throttle, "power_cap") || drawn_watts(gpu) < gpu->power_watts ? 0x4ull : 0) |
                   (list_has(gpu->throttle, "thermal") ? 0x20ull : 0) | (list_has(gpu->throttle, "hardware") ? 0x8ull : 0))
nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long *reasons) {
    ANSWER(ask_reasons(device, reasons));
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons) {
    ANSWER(ask_reasons(device, reasons));
}

ASK_GPU(mig_mode, "mig", (nvmlDevice_t device, unsigned *current, unsigned *pending), *current = *pending = gpu->mig_count > 0)
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
    ANSWER(ask_mig_mode(device, current, pending));
}

ASK_GPU(mig_count, "mig", (nvmlDevice_t device, unsigned *count), (void)gpu; *count = MAX_MIG_DEVICES)
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count) { ANSWER(ask_mig_count(device, count)); }

ASK_GPU(mig_device, "mig", (nvmlDevice_t device, unsigned index, nvmlDevice_t *mig),
        if (index >= (unsigned)gpu->mig_count) return NOT_FOUND; *mig = &mig_handles[device->index][index])
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *mig) {
    ANSWER(ask_mig_device(device, index, mig));
}

struct gpm_support { unsigned version, supported; };
ASK_GPU(gpm_support, "gpm", (nvmlDevice_t device, struct gpm_support *support), support->supported = gpu->sm_activity_ratio >= 0)
nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, struct gpm_support *support) { ANSWER(ask_gpm_support(device, support)); }

struct gpm_sample { double sm_activity_ratio, dram_active_ratio, tensor_active_ratio; };
nvmlReturn_t nvmlGpmSampleAlloc(struct gpm_sample **sample) {
    *sample = calloc(1, sizeof **sample);
    return SUCCESS;
}
nvmlReturn_t nvmlGpmSampleFree(struct gpm_sample *sample) {
    free(sample);
    return SUCCESS;
}

ASK_GPU(gpm_sample, "gpm", (nvmlDevice_t device, struct gpm_sample *sample),
        sample->sm_activity_ratio = gpu->sm_activity_ratio;
        sample->dram_active_ratio = gpu->dram_active_ratio; sample->tensor_active_ratio = gpu->tensor_active_ratio)
nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, struct gpm_sample *sample) { ANSWER(ask_gpm_sample(device, sample)); }

struct gpm_metric { unsigned id; nvmlReturn_t result; double value; const char *names[3]; };
struct gpm_metrics { unsigned version, count; struct gpm_sample *first, *second; struct gpm_metric metrics[]; };
static double gpm_ratio(const struct gpm_sample *sample, unsigned id) {
    switch (id) {
    case 2: return sample->sm_activity_ratio;    /* NVML_GPM_METRIC_SM_UTIL */
    case 5: return sample->tensor_active_ratio;  /* NVML_GPM_METRIC_ANY_TENSOR_UTIL */
    case 10: return sample->dram_active_ratio;   /* NVML_GPM_METRIC_DRAM_BW_UTIL */
    default: return -1;
    }
}
nvmlReturn_t nvmlGpmMetricsGet(struct gpm_metrics *asked) {
    if (asked->first == NULL || asked->second == NULL) return INVALID_ARGUMENT;
    for (unsigned i = 0; i < asked->count; i++) {
        double ratio = gpm_ratio(asked->second, asked->metrics[i].id);
        asked->metrics[i].result = ratio >= 0 ? SUCCESS : NOT_SUPPORTED;
        asked->metrics[i].value = ratio >= 0 ? ratio * 100 : 0; /* percent */
    }
    return SUCCESS;
}
