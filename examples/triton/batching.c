/* A batching strategy for Triton Inference Server: batches that end within a budget of time.
 *
 * Triton's own batcher closes a batch when it is full or has waited for long enough. This one closes
 * it when one request more would make it last longer than the model's budget, by the latency curve
 * of rampmeter. Triton calls these five functions where a model's configuration names the library:
 *
 *     parameters { key: "TRITON_BATCH_STRATEGY_PATH" value: { string_value: ".../libbatching.so" } }
 *     parameters { key: "rampmeter_fixed_ms"  value: { string_value: "5" } }    of any batch
 *     parameters { key: "rampmeter_each_ms"   value: { string_value: "2" } }    and of each request
 *     parameters { key: "rampmeter_budget_ms" value: { string_value: "21" } }   a batch may last
 *
 * cc -shared -fPIC batching.c $(pkg-config --cflags --libs rampmeter-static) -o libbatching.so
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rampmeter.h>

/* What is used of Triton's headers (tritonserver.h, tritonbackend.h). */
typedef struct TRITONSERVER_Error TRITONSERVER_Error;
typedef struct TRITONSERVER_Message TRITONSERVER_Message;
typedef struct TRITONBACKEND_Model TRITONBACKEND_Model;
typedef struct TRITONBACKEND_Request TRITONBACKEND_Request;
typedef struct TRITONBACKEND_Batcher TRITONBACKEND_Batcher;
enum { TRITONSERVER_ERROR_INVALID_ARG = 3 };
TRITONSERVER_Error *TRITONSERVER_ErrorNew(int code, const char *message);
TRITONSERVER_Error *TRITONBACKEND_ModelConfig(TRITONBACKEND_Model *model, uint32_t version,
                                              TRITONSERVER_Message **config);
TRITONSERVER_Error *TRITONSERVER_MessageSerializeToJson(TRITONSERVER_Message *message,
                                                        const char **base, size_t *bytes);
TRITONSERVER_Error *TRITONSERVER_MessageDelete(TRITONSERVER_Message *message);

TRITONSERVER_Error *TRITONBACKEND_ModelBatcherInitialize(TRITONBACKEND_Batcher **batcher,
                                                         TRITONBACKEND_Model *model);
TRITONSERVER_Error *TRITONBACKEND_ModelBatcherFinalize(TRITONBACKEND_Batcher *batcher);
TRITONSERVER_Error *TRITONBACKEND_ModelBatchInitialize(const TRITONBACKEND_Batcher *batcher,
                                                       void **userp);
TRITONSERVER_Error *TRITONBACKEND_ModelBatchIncludeRequest(TRITONBACKEND_Request *request,
                                                           void *userp, bool *should_include);
TRITONSERVER_Error *TRITONBACKEND_ModelBatchFinalize(void *userp);

/* Of a model. */
typedef struct {
    rampmeter_dynamic *dynamic;
    double budget_s;
} strategy;

/* Of a batch that is being put together. */
typedef struct {
    uint32_t requests;
    uint32_t requests_max;
} batch;

/* A parameter of the model's configuration, or what stands for it. */
static double parameter(const char *config, const char *name, double otherwise) {
    char key[96];
    snprintf(key, sizeof key, "\"%s\":{\"string_value\":\"", name);
    const char *found = strstr(config, key);
    return found ? strtod(found + strlen(key), NULL) : otherwise;
}

static TRITONSERVER_Error *refused(const rampmeter_error *error) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INVALID_ARG, error->text);
}

TRITONSERVER_Error *TRITONBACKEND_ModelBatcherInitialize(TRITONBACKEND_Batcher **batcher,
                                                         TRITONBACKEND_Model *model) {
    TRITONSERVER_Message *message = NULL;
    const char *json = NULL;
    size_t bytes = 0;
    TRITONSERVER_Error *failed = TRITONBACKEND_ModelConfig(model, 1, &message);
    if (!failed) failed = TRITONSERVER_MessageSerializeToJson(message, &json, &bytes);
    if (failed) return failed;
    char *config = calloc(bytes + 1, 1);
    strategy *made = calloc(1, sizeof *made);
    if (!config || !made) {
        free(config);
        free(made);
        return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INVALID_ARG, "out of memory");
    }
    memcpy(config, json, bytes);

    rampmeter_curve curve;
    memset(&curve, 0, sizeof curve);
    curve.fixed = 1;
    curve.fixed_s = parameter(config, "rampmeter_fixed_ms", 0) / 1000;
    curve.each_s = parameter(config, "rampmeter_each_ms", 1) / 1000;
    made->budget_s = parameter(config, "rampmeter_budget_ms", 100) / 1000;
    free(config);
    TRITONSERVER_MessageDelete(message);

    rampmeter_dynamic_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.batch_size_max = 4096; /* Triton's own max_batch_size holds as well */
    options.buckets = &curve;
    options.buckets_len = 1;
    rampmeter_error error;
    if (rampmeter_dynamic_create(&options, &made->dynamic, &error) != RAMPMETER_STATUS_OK) {
        free(made);
        return refused(&error);
    }
    *batcher = (TRITONBACKEND_Batcher *)made;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelBatcherFinalize(TRITONBACKEND_Batcher *batcher) {
    strategy *made = (strategy *)batcher;
    rampmeter_dynamic_destroy(made->dynamic);
    free(made);
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelBatchInitialize(const TRITONBACKEND_Batcher *batcher,
                                                       void **userp) {
    const strategy *by = (const strategy *)batcher;
    batch *begun = calloc(1, sizeof *begun);
    if (!begun) return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INVALID_ARG, "out of memory");
    rampmeter_error error;
    if (rampmeter_dynamic_batch_within(by->dynamic, 0, by->budget_s, 4096, &begun->requests_max,
                                       &error) != RAMPMETER_STATUS_OK) {
        free(begun);
        return refused(&error);
    }
    *userp = begun;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelBatchIncludeRequest(TRITONBACKEND_Request *request,
                                                           void *userp, bool *should_include) {
    (void)request;
    batch *open = userp;
    /* One alone runs even if it lasts too long: nobody else would ever take it. */
    *should_include = open->requests == 0 || open->requests < open->requests_max;
    open->requests += *should_include;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelBatchFinalize(void *userp) {
    free(userp);
    return NULL;
}
